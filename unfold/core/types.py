"""Types of values: named dimensions, shapes, and the three kinds of scalars.

    Type((Dim(512, "4*hidden"),))        a real vector
    Type((Dim(65, "vocab"),), "category")  an integer that stands for its one-hot vector

A `Dim` is an `int` that remembers how the spec wrote it, so that every message can show both. A
category's shape is that of its one-hot vector; it is stored as one integer, and -1 stands for the
zero vector.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class Dim(int):
    """A dimension: an integer with the text it is known by."""

    text: str

    def __new__(cls, value: int, text: str | None = None) -> Dim:
        """Make a dimension; `text` defaults to the number itself."""
        self = super().__new__(cls, value)
        self.text = text if text is not None else str(int(value))
        return self

    def show(self) -> str:
        """Return the text and the number: `hidden (128)`, or the number alone."""
        return str(int(self)) if self.text == str(int(self)) else f"{self.text} ({int(self)})"

    def divided(self, parts: int) -> Dim:
        """Return this dimension split in equal parts: `4*hidden` in 4 is `hidden`."""
        head = f"{parts}*"
        rest = self.text.removeprefix(head)
        plain = rest != self.text and all(c not in rest for c in "+-/")
        if self.text.isdigit():
            return Dim(self // parts)
        return Dim(self // parts, rest if plain else f"({self.text})/{parts}")


def dims(shape: Iterable[int]) -> tuple[Dim, ...]:
    """Make every entry a `Dim`."""
    return tuple(d if isinstance(d, Dim) else Dim(d) for d in shape)


@dataclass(frozen=True)
class Type:
    """Shape and kind of one value at one index point.

    Attributes:
        shape: the feature dimensions; `()` is a scalar.
        kind: "real", "category" (shape is that of the one-hot vector) or "bool".
    """

    shape: tuple[int, ...] = ()
    kind: str = "real"

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of the array that holds it: a category is one integer."""
        return () if self.kind == "category" else self.shape

    def show(self) -> str:
        """Return names and numbers: `[4*hidden, vocab] = [512, 65]`."""
        shape = dims(self.shape)
        names = "[" + ", ".join(d.text for d in shape) + "]"
        numbers = "[" + ", ".join(str(int(d)) for d in shape) + "]"
        text = names if names == numbers else f"{names} = {numbers}"
        if not shape:
            return "a number" if self.kind == "real" else "true or false"
        if self.kind == "category":
            return f"a category of {', '.join(d.show() for d in shape)}"
        return f"true or false of the shape {text}" if self.kind == "bool" else text


REAL = Type()
BOOL = Type(kind="bool")
