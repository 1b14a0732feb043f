"""Boxes and lines: what a picture shows of a Program, as data.

A `Box` is a cell, a named equation or an operation; a `Line` is one way in which a box reads
another, with the affine index it reads at. Parameters are not boxes: they are the colours of lines.

    h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
    boxes x[t], h[t];  lines  h -> h at t-1 via W,  x -> h at t via U
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from unfold.core.affine import Affine
from unfold.core.program import Ref
from unfold.drawing.guards import Condition
from unfold.drawing.labels import label


@dataclass(frozen=True)
class Box:
    """A drawn unit.

    Attributes:
        name: unique in the scheme; the Program's value that it stands for, or a cell's name.
        label: how it is called in the picture, without its index.
        axes: index axes, without "batch".
        kind: a key of `palette.NODES`.
        values: names of the Program's values it shows.
        tooltip: lines for hovering: equation, shape, parameters.
        boundary: what lies outside of the domain, by axis (as in `Value`).
        indexed: whether its index is shown; operations without a name go without.
        parameters: all that its equation reads but what its own label says.
        within: forms of its axes; where one is negative, there is no such box.
    """

    name: str
    label: str
    axes: tuple[str, ...]
    kind: str
    values: tuple[str, ...]
    tooltip: tuple[str, ...] = ()
    boundary: Mapping[str, Ref] = field(default_factory=dict)
    indexed: bool = True
    parameters: tuple[str, ...] = ()
    within: tuple[Affine, ...] = ()

    def shown(self, at: Sequence[object]) -> str:
        """Return the label with index points, or with its axes."""
        return label(
            self.label, dict(zip(self.axes, map(str, at), strict=True)) if self.indexed else {}
        )


@dataclass(frozen=True)
class Line:
    """A box that reads another.

    Attributes:
        source: the box that is read.
        target: the box that reads.
        index: where, one affine index per axis of the source, over the target's axes and `bound`.
        bound: further index names that run over an axis each: (name, axis).
        via: parameters multiplied with on the way, the one nearest to the source first.
        guards: conditions on the index point; the line exists where all hold.
        feedback: whether it passes through the branch of a `feedback`.
        others: parameters that further ways of reading the same are multiplied with.
        carries: how the source is read, for hovering.
    """

    source: str
    target: str
    index: tuple[Affine, ...]
    bound: tuple[tuple[str, str], ...] = ()
    via: tuple[Ref, ...] = ()
    guards: tuple[Condition, ...] = ()
    feedback: bool = False
    others: tuple[Ref, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def nearest(self) -> tuple[Ref, ...]:
        """The parameters nearest to the source, of each way; a single one colours the line."""
        return tuple(dict.fromkeys((*self.via[:1], *self.others)))

    @property
    def factors(self) -> str:
        """Words for hovering: what is multiplied with on the way."""
        chain = " · ".join(r.value for r in reversed(self.via))
        more = [r.value for r in self.others if r not in self.via]
        text = " and ".join([*([chain] if chain else []), *more])
        return f", times {text}" if text else ""

    def substitute(self, replacements: Mapping[str, Affine], target: str) -> Line:
        """Read the same from another box: replace the target's axes."""
        return replace(
            self,
            target=target,
            index=tuple(i.substitute(replacements) for i in self.index),
            via=tuple(r.substitute(replacements) for r in self.via),
            others=tuple(r.substitute(replacements) for r in self.others),
            guards=tuple(g.substitute(replacements) for g in self.guards),
        )

    def offsets(self, boxes: Mapping[str, Box]) -> dict[str, int]:
        """Return the constant offsets along axes that source and target share."""
        own = boxes[self.target].axes
        pairs = zip(boxes[self.source].axes, self.index, strict=True)
        found = {a: i.offset_from(a) for a, i in pairs if a in own}
        return {a: o for a, o in found.items() if o is not None}
