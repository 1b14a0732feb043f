"""Where values come from, as data, and the names that follow from it.

A pass that makes a value says of what it made it. Names are for people, and for telling values
apart: they are composed here alone, and nobody takes them apart.

    Written("h")                                    h               the spec
    Part(Written("h"), 1)                           h.1             a part of its equation
    Adjoint(Written("h"))                           ∂h              the gradient by it
    Part(Adjoint(Written("h")), 3, order=1)         ∂h:3
    Carried("h"), StateAxis("h", "t")               carry.h         the state before, its axis
    Next("h")                                       next.h          the state after
    Direction("W")                                  direction.W     what gradients are multiplied by
    Setting("chunk", ":", "begins")                 chunk:begins    what a run is told
    Fed("x", "said")                                x.said          of the loop from output to input
    Joined(("W", "U"))                              W|U             matrices in one
    Transposed(Written("W"), "ij->ji")              W~ij~ji
    Beside(Written("h"))                            h~              with zeros where h has none
    LastIndex("t"), Errors("h")                     last.t, ~h      buffers of a Plan alone

`of` is a name where a value is meant, and an origin where what was made is under its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Origin:
    """How a value, or an axis, came to be: one of the classes below."""

    @cached_property
    def name(self) -> str:
        """What it is called."""
        return name_of(self)

    @property
    def equation(self) -> Origin:
        """The equation that it is, or is a part of."""
        return self


@dataclass(frozen=True)
class Written(Origin):
    """An equation, an input, a parameter or a number of a spec."""

    of: str


UNNAMED = Written("")


@dataclass(frozen=True)
class Part(Origin):
    """A part of an equation.

    Attributes:
        of: the equation, or a part of it.
        label: its number, or what it is.
        order: how often the Program had been differentiated, with the pass that made it.
    """

    of: Origin
    label: int | str
    order: int = 0

    @property
    def equation(self) -> Origin:
        """The equation that it is a part of."""
        return self.of.equation


@dataclass(frozen=True)
class Adjoint(Origin):
    """The gradient by a value: of the loss, or of order 2, of a product with its gradient."""

    of: Origin
    order: int = 1

    @property
    def equation(self) -> Origin:
        """The gradient by the equation of the value."""
        whole = self.of.equation
        return self if whole is self.of else Adjoint(whole, self.order)


@dataclass(frozen=True)
class Carried(Origin):
    """The last points of a value in the chunk before."""

    of: str


@dataclass(frozen=True)
class StateAxis(Origin):
    """The axis of a state: the last points of a value along an axis."""

    of: str
    along: str


@dataclass(frozen=True)
class Next(Origin):
    """The last points of a value, for the next chunk."""

    of: str


@dataclass(frozen=True)
class Direction(Origin):
    """What a value is multiplied by, so that the sum of all is differentiated."""

    of: str


@dataclass(frozen=True)
class Setting(Origin):
    """A number that a run is told, and what is made of such numbers."""

    of: str
    sign: str
    what: str


@dataclass(frozen=True)
class Fed(Origin):
    """An equation of the loop in which an output becomes the next input."""

    of: str
    what: str


@dataclass(frozen=True)
class Joined(Origin):
    """The concatenation of values."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Transposed(Origin):
    """A value with its features in another order."""

    of: Origin
    letters: str

    @property
    def equation(self) -> Origin:
        """The equation of what was transposed."""
        return self.of.equation


@dataclass(frozen=True)
class Beside(Origin):
    """The same numbers as a value, one of the two with zeros where there are no points."""

    of: Origin

    @property
    def equation(self) -> Origin:
        """The equation of the value."""
        return self.of.equation


@dataclass(frozen=True)
class LastIndex(Origin):
    """The last index of an axis, of every sequence."""

    of: str


@dataclass(frozen=True)
class Errors(Origin):
    """What rounding has added to each element of a sum."""

    of: str


def name_of(origin: Origin) -> str:
    """Return what a value is called by where it comes from."""
    match origin:
        case Written(of):
            return of
        case Part(of, label, order):
            return f"{of.name}{':' * order or '.'}{label}"
        case Adjoint(of, order):
            return f"∂{'' if order == 1 else str(order).translate(SUPERSCRIPTS)}{of.name}"
        case Carried(of):
            return f"carry.{of}"
        case StateAxis(of, along):
            return f"carry.{of}.{along}"
        case Next(of):
            return f"next.{of}"
        case Direction(of):
            return f"direction.{of}"
        case Setting(of, sign, what):
            return f"{of}{sign}{what}"
        case Fed(of, what):
            return f"{of}.{what}"
        case Joined(parts):
            return "|".join(parts)
        case Transposed(of, letters):
            return f"{of.name}~{letters.replace('->', '~')}"
        case Beside(of):
            return f"{of.name}~"
        case LastIndex(of):
            return f"last.{of}"
        case Errors(of):
            return f"~{of}"
        case _:
            raise AssertionError(origin)
