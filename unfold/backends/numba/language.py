"""The loops and numbers around kernels, as Python that Numba compiles."""

from __future__ import annotations

from unfold.backends.native.integers import Integer, written

INTEGERS = {
    "total": " + ",
    "product": "*",
    "all": " and ",
    "least": "min",
    "largest": "max",
    "group": "({})",
    "difference": "{} - {}",
    "negative": "-{}",
    "quotient": "{} // {}",
    "remainder": "{} % {}",
    "between": "0 <= {} <= {}",
    "nonnegative": "{} >= 0",
    "equal": "{} == {}",
    "choice": "{} if {} else {}",
    "real": "float({})",
}


class Python:
    """Writes whole numbers by `INTEGERS`, and the lines that hold them."""

    def __init__(self, dtype: str) -> None:
        self.templates = {**INTEGERS, "index": f"index_{dtype}({{}})"}

    def integer(self, x: Integer) -> str:
        """Return a number or a condition as text."""
        return written(x, self.templates)

    def assign(self, name: str, value: str) -> str:
        """Return a line that gives a temporary variable its value."""
        return f"{name} = {value}"

    def loop(self, name: str, first: str | None, end: str, direction: int) -> str:
        """Return the line that begins a loop, from 0 if no first number is given."""
        if first is not None:
            return f"for {name} in range({first}, {end}):"
        return f"for {name} in range({end if direction > 0 else f'{end} - 1, -1, -1'}):"
