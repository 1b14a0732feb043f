"""Print the scalar language as the Python that vector kernels are written in.

1.0 / (1.0 + exp(-x))   ->   sigmoid(x)

`HEADS` is the only table it needs. `kernel_text` puts the lines of a kernel into a function.
"""

from __future__ import annotations

from collections.abc import Mapping

from unfold.backends.native.printing import Notation
from unfold.core.op import OPS, Reduction
from unfold.core.scalar import FUNCTIONS, X

HEADS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "pow": "({} ** {})",
    "mod": "({} % {})",
    "neg": "(-{})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "eq": "({} == {})",
    "and": "and_({}, {})",
    "or": "or_({}, {})",
    "not": "not_({})",
    "select": "select({}, {}, {})",
    **{name: f"{name}({{}})" for name in (*FUNCTIONS, "sigmoid")},
    "abs": "abs_({})",
}


def number(value: float) -> str:
    """Return a number as text: digits, inf or nan, which `functions` defines."""
    text = repr(float(value))
    return f"({text})" if text.startswith("-") else text


PYTHON = Notation(HEADS, number)


class Code(str):
    """Text that is printed without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def folded(how: Reduction) -> str:
    """Return the store of a reduction without its own instructions."""
    pair = OPS[how.pair].scalar
    assert pair is not None, how
    text = PYTHON.expression(pair(X("a"), X("b")))
    return Code(f"fold({number(how.neutral)}, lambda a, b: {text})")


def kernel_text(
    name: str,
    dtype: str,
    loads: str,
    modes: list[str],
    leaves: Mapping[str, object],
    lines: list[tuple[str, X]],
    results: list[str],
) -> str:
    """Return the text of a kernel: a scalar function that becomes a loop over vectors.

    Args:
        name: of the function.
        dtype: element type.
        loads, modes: of its operands and results.
        leaves, lines: loaded variables, and computed ones.
        results: variables that are stored.
    """
    body = [f"    {v} = {PYTHON.expression(x)}" for v, x in lines]
    returned = ", ".join(results)
    return "\n".join(
        [
            f'\n@vector_kernel("{dtype}", loads="{loads}", stores={tuple(modes)!r})',
            f"def {name}({', '.join(leaves)}):",
            *body,
            f"    return ({returned},)",
        ]
    )
