"""Write the tables of operators in docs/language.md, from the op table.

    python docs/operators.py            rewrites the part of docs/language.md between its markers

The names and options come from the op table, the kind of the result from elaborating the example;
only the meaning is written here. `tests/test_language.py` checks that every operator a spec may
call stands in `MEANINGS` and that the page is up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import unfold
import unfold.ops
from unfold.core.op import OPS, Kind
from unfold.core.printing import show_type
from unfold.spec.meaning.operators import features_row, operators

PAGE = Path(__file__).parent / "language.md"
BEGIN = "<!-- written by docs/operators.py: begin -->"
END = "<!-- written by docs/operators.py: end -->"

# What the examples are about: vectors, a number, a matrix, categories; images and filters.
NAMES = """
unfold: 1
name: operators
axes: {t: 3, s: 2}
sizes: {n: 4, m: 3}
inputs:
  u[t]: [n]
  v[t]: [n]
  a[t]: []
  c[t]: {category: n}
  d[s]: {category: n}
  w[t]: [m, 12]
  p[t]: [m, 8, 6]
  o[t]: [m, 4, 8, 6]
parameters:
  M: [m, n]
  I: [n, m, 3]
  J: [n, m, 3, 3]
  K: [n, m, 3, 3, 3]
nodes:
"""

Meanings = Mapping[str, tuple[str, str]]

POINTWISE: Meanings = {
    "tanh": ("tanh(v[t])", "Hyperbolic tangent."),
    "sigmoid": ("sigmoid(v[t])", "1 / (1 + exp(-v))."),
    "relu": ("relu(v[t])", "The larger of v and 0."),
    "leaky_relu": ("leaky_relu(v[t], slope=0.1)", "v where v ≥ 0, slope · v elsewhere."),
    "gelu": ("gelu(v[t])", "v · Φ(v), where Φ is the standard normal distribution function."),
    "silu": ("silu(v[t])", "v · sigmoid(v)."),
    "softplus": ("softplus(v[t])", "log(1 + exp(v))."),
    "exp": ("exp(v[t])", "e to the power of v."),
    "log": ("log(v[t])", "Natural logarithm."),
    "sqrt": ("sqrt(v[t])", "Square root."),
    "abs": ("abs(v[t])", "Absolute value; derivative 0 at 0."),
    "sign": ("sign(v[t])", "-1, 0 or 1."),
    "sin": ("sin(v[t])", "Sine of an angle in radians."),
    "cos": ("cos(v[t])", "Cosine of an angle in radians."),
    "erf": ("erf(v[t])", "Error function."),
    "minimum": (
        "minimum(u[t], v[t])",
        "The smaller of two values; equal values share the gradient.",
    ),
    "maximum": ("maximum(v[t], 0)", "The larger of two values; equal values share the gradient."),
    "clip": ("clip(v[t], -1, 1)", "v, limited to the range from the second to the third value."),
    "where": (
        "where(a[t] > 0, u[t], v[t])",
        "The second value where the condition holds, the third elsewhere.",
    ),
    "stop_gradient": ("stop_gradient(v[t])", "v itself, treated as a constant in differentiation."),
}
FEATURE: Meanings = {
    "sum": ("sum(v[t])", "Sum over the last dimension."),
    "mean": ("mean(v[t])", "Mean over the last dimension."),
    "max": (
        "max(v[t])",
        "Largest element of the last dimension; equal elements share the gradient.",
    ),
    "min": ("min(v[t])", "Smallest element of the last dimension."),
    "argmax": (
        "argmax(v[t])",
        "The class with the largest score; the first one if scores are equal.",
    ),
    "norm": ("norm(v[t])", "Square root of the sum of squares of all elements."),
    "softmax": ("softmax(v[t])", "exp(v) / sum(exp(v)) over the last dimension."),
    "log_softmax": ("log_softmax(v[t])", "log of softmax, without overflow."),
    "logsumexp": ("logsumexp(v[t])", "log(sum(exp(v))) over the last dimension, without overflow."),
    "layer_norm": (
        "layer_norm(v[t])",
        "(v - mean) / sqrt(variance + epsilon) over the last dimension, without gain and bias.",
    ),
}
SHAPE: Meanings = {
    "concat": ("concat(u[t], v[t], a[t])", "Concatenation along the first dimension."),
    "slice": ("slice(v[t], start=1, stop=4)", "Elements start … stop-1 of the first dimension."),
    "split": ("split(v[t], 2)", "Equal parts of the first dimension, one per name on the left."),
    "reshape": ("reshape(v[t], shape=[2, 2])", "The same elements in another shape, row by row."),
    "flatten": ("flatten(M)", "All elements as one vector, row by row."),
    "one_hot": ("one_hot(c[t])", "The vector with a 1 at the class; the zero vector for class -1."),
    "einsum": ('einsum("ij,j->i", M, v[t])', "Sum of products; see [Products](#products)."),
}
WINDOWS: Meanings = {
    "conv1d": ("conv1d(w[t], I)", "Convolution of [channels, length]; see [Images](#images)."),
    "conv2d": (
        "conv2d(p[t], J, padding=same)",
        "Convolution of images: [channels, height, width].",
    ),
    "conv3d": ("conv3d(o[t], K)", "Convolution of volumes: [channels, depth, height, width]."),
    "max_pool1d": (
        "max_pool1d(w[t], size=2)",
        "Maximum of each window; equal elements share the gradient.",
    ),
    "max_pool2d": ("max_pool2d(p[t], size=2)", "Maximum of each window of an image."),
    "max_pool3d": ("max_pool3d(o[t], size=2)", "Maximum of each window of a volume."),
    "mean_pool1d": ("mean_pool1d(w[t], size=3)", "Mean of each window; padding counts as zeros."),
    "mean_pool2d": ("mean_pool2d(p[t], size=2)", "Mean of each window of an image."),
    "mean_pool3d": ("mean_pool3d(o[t], size=2)", "Mean of each window of a volume."),
    "windows": (
        "windows(p[t], size=[3, 3], stride=2)",
        "All windows over the last dimensions: [channels, size, positions].",
    ),
}
RANDOM: Meanings = {
    "normal": ("normal(shape=[n])", "Standard normal numbers, independent at every index point."),
    "uniform": ("uniform(shape=[n])", "Uniform random numbers between 0 and 1."),
    "sample": (
        "sample(v[t], temperature=0.7)",
        "A class drawn with probabilities softmax(v / temperature).",
    ),
    "dropout": (
        "dropout(v[t], rate=0.2)",
        "In training, each element is set to zero with probability rate, or else divided by "
        "1 - rate; otherwise v itself.",
    ),
}
LOSSES: Meanings = {
    "cross_entropy": (
        "cross_entropy(v[t], c[t])",
        "-log softmax(v) at the class, in nats; 0 for class -1. The target may also be a "
        "distribution.",
    ),
    "mse": ("mse(u[t], v[t])", "Mean of (u - v)² over all elements."),
    "bce": (
        "bce(v[t], u[t])",
        "Binary cross-entropy of logits and targets in [0, 1], averaged over all elements.",
    ),
    "ctc": (
        "ctc[t,s](log_softmax(v[t]), d[s])",
        "-log of the probability that the frames t emit the labels s in any alignment; see "
        "[Alignments](#alignments).",
    ),
}
OTHER: Meanings = {
    "feedback": (
        "feedback(teacher=c[t-1], free=argmax(v[t-1]))",
        "One of the two branches, depending on the mode; see [Modes](#output-feedback-and-modes).",
    ),
}
GROUPS: Mapping[str, Meanings] = {
    "Element-wise": POINTWISE,
    "Over features": FEATURE,
    "Shapes": SHAPE,
    "Windows": WINDOWS,
    "Random": RANDOM,
    "Losses": LOSSES,
    "Modes": OTHER,
}
MEANINGS: Meanings = {n: m for group in GROUPS.values() for n, m in group.items()}


def result(example: str) -> str:
    """Return what an example gives, as elaboration finds it: `[n]`, `number`, `category(n)`."""
    parts = example.startswith("split")
    left = "r[t], rest[t]" if parts else "r[t]"
    model = unfold.loads(f"{NAMES}  {left}: {example}\n", file="docs/operators.py")
    return show_type(model.program["r"]) + (" each" if parts else "")


def options(name: str) -> str:
    """Return an operator's options with their defaults, from its row."""
    row = OPS.get(features_row(name))
    shown = [
        f"`{key}`" + ("" if default is ... else f" = {_default(default)}")
        for key, default in (row.options if row else {}).items()
    ]
    return ", ".join(shown)


def _default(value: object) -> str:
    return "[]" if value == () else "size" if value is None else str(value)


def without_derivative(name: str) -> bool:
    """Return whether differentiation stops at an operator."""
    row = OPS.get(features_row(name))
    return row is not None and row.kind in (Kind.POINTWISE, Kind.REDUCE) and row.vjp is None


def table(meanings: Meanings) -> str:
    """Return one group as a Markdown table."""
    lines = ["| written | gives | options | meaning |", "|---|---|---|---|"]
    for name, (example, meaning) in meanings.items():
        stops = " No gradient passes." if without_derivative(name) else ""
        lines.append(f"| `{example}` | {result(example)} | {options(name)} | {meaning}{stops} |")
    return "\n".join(lines)


def tables() -> str:
    """Return all groups under their headings."""
    assert set(MEANINGS) == set(operators()), set(MEANINGS) ^ set(operators())
    return "\n\n".join(f"#### {title}\n\n{table(group)}" for title, group in GROUPS.items())


def written(page: str) -> str:
    """Return a page with the tables between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
