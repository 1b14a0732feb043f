"""Boxes: the drawn units of a Program, as data.

A `Box` is a cell, a named equation or an operation; lines (`unfolded.lines`) connect a box to those
that it reads. Parameters are not boxes: they are the colours of lines.

    h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
    boxes x[t], h[t];  lines  h -> h at t-1 via W,  x -> h at t via U
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unfold.core.affine import Affine
from unfold.core.origin import UNNAMED, Adjoint, Origin
from unfold.drawing.labels import label


@dataclass(frozen=True)
class Box:
    """A drawn unit.

    Attributes:
        name: unique in the scheme; the Program's value that it stands for, or a cell's name.
        label: its name in the picture, without its index.
        axes: index axes, without "batch".
        kind: a key of `palette.NODES`.
        values: names of the Program's values it shows.
        tooltip: lines for hovering: equation, shape, parameters.
        indexed: whether its index is shown; operations without a name have none.
        parameters: those that its equation reads and its own label does not name.
        within: forms of its axes; the box exists where none is negative.
        origin: of the value; a cell of gradients is the gradient of a cell.
    """

    name: str
    label: str
    axes: tuple[str, ...]
    kind: str
    values: tuple[str, ...]
    tooltip: tuple[str, ...] = ()
    indexed: bool = True
    parameters: tuple[str, ...] = ()
    within: tuple[Affine, ...] = ()
    origin: Origin = UNNAMED

    @property
    def is_adjoint(self) -> bool:
        """Whether it is a gradient, or a part of one."""
        return isinstance(self.origin.equation, Adjoint)

    @property
    def forward(self) -> str | None:
        """The box, or the value, that this is the gradient by."""
        return self.origin.of.name if isinstance(self.origin, Adjoint) else None

    @property
    def reader(self) -> str:
        """The equation of the spec that it computes, or sends gradients through."""
        whole = self.origin.equation
        return whole.of.name if isinstance(whole, Adjoint) else self.name

    def shown(self, at: Sequence[object]) -> str:
        """Return the label with index points, or with its axes."""
        return label(
            self.label, dict(zip(self.axes, map(str, at), strict=True)) if self.indexed else {}
        )
