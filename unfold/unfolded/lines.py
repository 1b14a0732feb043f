"""Lines: the reads between equations, in a graph and in its pictures.

A `Line` is one way in which a value reads another, with the affine index it reads at, the names
that run over an axis on the way, and the conditions of its existence.

    h[t]: tanh(W @ h[t-1] + U @ x[t] + b)       h -> h at t-1 via W,  h -> x at t via U
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from unfold.core.affine import Affine
from unfold.core.program import Ref
from unfold.unfolded.reading import Guard


class Indexed(Protocol):
    """Something with index axes: a value, a box."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes, without "batch"."""
        ...


@dataclass(frozen=True)
class Line:
    """A value that reads another.

    Attributes:
        source: the value that is read.
        target: the value that reads it.
        index: one affine index per axis of the source but "batch", over the target's axes and
            `bound`.
        bound: further index names that run over an axis each: (name, axis).
        via: parameters multiplied with on the way, the one nearest to the source first.
        guards: conditions on the index point; the line exists where all hold.
        feedback: whether it goes through a choice between teacher and free run.
        others: parameters that further ways of reading the same are multiplied with.
        carries: the form of the read, for hovering.
    """

    source: str
    target: str
    index: tuple[Affine, ...]
    bound: tuple[tuple[str, str], ...] = ()
    via: tuple[Ref, ...] = ()
    guards: tuple[Guard, ...] = ()
    feedback: bool = False
    others: tuple[Ref, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def nearest(self) -> tuple[Ref, ...]:
        """The parameters nearest to the source, of each way; a single one colours the line."""
        return tuple(dict.fromkeys((*self.via[:1], *self.others)))

    @property
    def factors(self) -> str:
        """Words for hovering: the factors on the way."""
        chain = " · ".join(r.value for r in reversed(self.via))
        more = [r.value for r in self.others if r not in self.via]
        text = " and ".join([*([chain] if chain else []), *more])
        return f", times {text}" if text else ""

    def substitute(self, replacements: Mapping[str, Affine], target: str) -> Line:
        """Read the same from elsewhere: replace the target's axes."""
        return replace(
            self,
            target=target,
            index=tuple(i.substitute(replacements) for i in self.index),
            via=tuple(r.substitute(replacements) for r in self.via),
            others=tuple(r.substitute(replacements) for r in self.others),
            guards=tuple(g.substitute(replacements) for g in self.guards),
        )

    def offsets(self, boxes: Mapping[str, Indexed]) -> dict[str, int]:
        """Return the constant offsets along axes that source and target share."""
        own = boxes[self.target].axes
        pairs = zip(boxes[self.source].axes, self.index, strict=True)
        found = {a: i.offset_from(a) for a, i in pairs if a in own}
        return {a: o for a, o in found.items() if o is not None}


def may_leave(index: Affine, axis: str, origins: Mapping[str, str]) -> bool:
    """Return whether an index can be outside of an axis.

    Args:
        index: along the axis.
        axis: of what is read.
        origins: to names of indices, and of axes, the axes that they have the points of.
    """
    own = index.rename(origins) if len(index.axes) == 1 else index
    return own.may_leave(origins.get(axis, axis))


def merged(lines: Iterable[Line], origins: Mapping[str, str]) -> tuple[Line, ...]:
    """Join lines that read the same at the same index, and drop those that others include.

    Args:
        lines: some of which may be equal but for bound names.
        origins: of axes; see `may_leave`.
    """
    found: dict[object, Line] = {}
    for line in lines:
        used = {a for x in (*line.index, *line.guards, *line.via, *line.others) for a in x.axes}
        line = replace(line, bound=tuple(b for b in line.bound if b[0] in used))
        names = {new: f"{axis}#{i}" for i, (new, axis) in enumerate(line.bound)}
        points = {new: Affine.axis(name) for new, name in names.items()}
        guards = frozenset(g.substitute(points) for g in line.guards)
        key = (line.source, line.target, tuple(i.rename(names) for i in line.index), guards)
        found[key] = _joined(found[key], line) if key in found else line
    kept = list(found.values())
    for line in tuple(kept):  # one by one: of two that include one another, one stays
        if any(_covers(other, line, origins) for other in kept if other is not line):
            kept.remove(line)
    return tuple(kept)


def _joined(first: Line, second: Line) -> Line:
    others = dict.fromkeys((*first.others, *second.via[:1], *second.others))
    carries = dict.fromkeys((*first.carries, *second.carries))
    feedback = first.feedback or second.feedback
    return replace(first, others=tuple(others), carries=tuple(carries), feedback=feedback)


def _covers(general: Line, special: Line, origins: Mapping[str, str]) -> bool:
    """Whether a line that runs over the points of an axis includes another one."""
    if (general.source, general.target) != (special.source, special.target):
        return False
    bound = dict(general.bound)
    known = {**origins, **{name: origins.get(a, a) for name, a in special.bound}}
    uses = [a for index in general.index for a in index.axes]
    wide = [(a, b) for a, b in zip(general.index, special.index, strict=True) if a != b]
    at: dict[str, Affine] = {}
    for index, narrow in wide:
        axis = index.axes[0] if index.axes else ""
        whole = axis in bound and uses.count(axis) == 1 and index.offset_from(axis) == 0
        if not whole or may_leave(narrow, bound[axis], known):
            return False
        at[axis] = narrow
    return bool(wide) and {g.substitute(at) for g in general.guards} <= set(special.guards)
