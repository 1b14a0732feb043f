"""The operators a spec may call: their rows in the op table, and their notation."""

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


def operators() -> list[str]:
    """Return the operators a spec may call."""
    own = {n for n, row in OPS.items() if not row.hidden}
    return sorted(own | {*reductions(), "split"})


def is_operator(name: str) -> bool:
    """Tell whether a spec may call an operator of this name."""
    return is_row(name) or name in reductions() or name == "split"


def is_row(name: str) -> bool:
    """Tell whether a spec may call a row of the op table by this name."""
    return name in OPS and not OPS[name].hidden


def reductions() -> tuple[str, ...]:
    """Return the operators that reduce over index axes, as in `sum[t](…)`."""
    return tuple(dict.fromkeys((*REDUCTIONS, *filter(reduces_axes, OPS))))


def reduces_axes(name: str) -> bool:
    """Tell whether an operator is a row that reduces over index axes."""
    return is_row(name) and OPS[name].features is not None


def features_row(name: str) -> str:
    """Return the row that a call without brackets means: `sum(v)` reduces features."""
    return (OPS[name].features if name in OPS else None) or name


def reads_sequences(name: str) -> bool:
    """Tell whether an operator reads whole sequences, along axes that it names in brackets."""
    return is_row(name) and OPS[name].kind is Kind.KERNEL


def usage(name: str) -> str:
    """Return the notation of an operator."""
    own = OPS[name].usage if name in OPS else None
    return own or f"{name}(x)"
