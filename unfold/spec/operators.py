"""The operators a spec may call: which rows of the op table they are, and how each is written."""

from __future__ import annotations

from unfold.core.op import OPS, Kind

ARITHMETIC = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "**": "pow",
}
COMPARISON = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
REDUCTIONS = ("sum", "mean", "max", "min", "softmax", "log_softmax", "logsumexp")
# What a spec calls `sum(v)` reduces features; over index axes it is `sum[t](v)`.
FEATURES = {"sum": "feature_sum", "max": "feature_max"}
HIDDEN = {
    *ARITHMETIC.values(), *COMPARISON.values(), *FEATURES.values(),
    "and", "or", "not", "neg", "identity", "sum_to", "max_to", "broadcast_to", "pad", "index",
    "inside", "count", "input", "parameter", "constant", "keep_mask", "window_view", "window_sum",
    "ctc_occupancy", "ctc_curvature",
}  # fmt: skip
USAGE = {
    "bce": "bce(logit, target)",
    "clip": "clip(x, low, high)",
    "concat": "concat(a, b)",
    "conv1d": "conv1d(x[t], K)",
    "conv2d": "conv2d(x[t], K)",
    "conv3d": "conv3d(x[t], K)",
    "ctc": "ctc[t,u](log_softmax(o[t]), labels[u])",
    "cross_entropy": "cross_entropy(logits, target)",
    "dropout": "dropout(x, rate=0.5)",
    "einsum": 'einsum("ij,j->i", W, x[t])',
    "feedback": "feedback(teacher=y[t-1], free=argmax(o[t-1]))",
    "leaky_relu": "leaky_relu(x, slope=0.01)",
    "max_pool1d": "max_pool1d(x, size=2)",
    "max_pool2d": "max_pool2d(x, size=2)",
    "max_pool3d": "max_pool3d(x, size=2)",
    "maximum": "maximum(a, b)",
    "mean_pool1d": "mean_pool1d(x, size=2)",
    "mean_pool2d": "mean_pool2d(x, size=2)",
    "mean_pool3d": "mean_pool3d(x, size=2)",
    "minimum": "minimum(a, b)",
    "mse": "mse(output, target)",
    "normal": "normal(shape=[hidden])",
    "reshape": "reshape(x, shape=[2, 3])",
    "slice": "slice(x, start=0, stop=4)",
    "uniform": "uniform(shape=[hidden])",
    "where": "where(condition, a, b)",
    "windows": "windows(x, size=[3, 3])",
}


def operators() -> list[str]:
    """Return the operators a spec may call."""
    own = {n for n in OPS if n not in HIDDEN}
    return sorted(own | {*REDUCTIONS, "split"})


def is_operator(name: str) -> bool:
    """Tell whether a spec may call an operator of this name."""
    return (name in OPS and name not in HIDDEN) or name in REDUCTIONS or name == "split"


def reads_sequences(name: str) -> bool:
    """Tell whether an operator reads whole sequences, along axes that it names in brackets."""
    return is_operator(name) and name in OPS and OPS[name].kind is Kind.KERNEL


def usage(name: str) -> str:
    """Return how an operator is written."""
    return USAGE.get(name, f"{name}(x)")
