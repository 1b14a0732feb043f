"""Put works into nests and loops, in an order that respects what they read.

The loops come from the dependence graph (`unfold.core.dependence.order`). Within one level, works
over the same dimensions share a nest, and, over the same vector dimension, a kernel. If the Target
fuses, a work that follows a loop and reads what it makes at the loop's own index point is done
inside the loop, where these values are still at hand: so gradients of biases add up on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from unfold.core.affine import Affine
from unfold.core.dependence import Block
from unfold.core.dependence import Loop as Recurrence
from unfold.core.plan import Access, Call, Dim, Fill, Gemm, Kernel, Loop, Nest, Statement, Store
from unfold.core.scalar import X
from unfold.planning.calls import call
from unfold.planning.expressions import Expressions
from unfold.planning.forms import Form
from unfold.planning.works import Work, Works


@dataclass
class Group:
    """Works that share a nest."""

    dims: tuple[Dim, ...]
    within: tuple[Affine, ...]
    works: list[Work]


@dataclass
class Level:
    """The body of a loop, or the top level: entries in order.

    Attributes:
        axes: of the loops around it.
        entries: groups, products, fills and loops.
        makes: which entry makes each value.
    """

    axes: tuple[str, ...]
    entries: list[Group | Gemm | Call | Fill | Inner] = field(
        default_factory=list["Group | Gemm | Call | Fill | Inner"]
    )
    makes: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class Inner:
    """A loop among the entries of a level."""

    axis: str
    direction: int
    level: Level


class Schedule:
    """Builds the statements of a Program.

    Args:
        works: makes works.
    """

    def __init__(self, works: Works) -> None:
        self.works, self.forms, self.program = works, works.forms, works.program

    def statements(self, blocks: Iterable[Block], names: set[str]) -> list[Statement]:
        """Return the statements that make some values.

        Args:
            blocks: the order of the Program.
            names: the values to make; others have been made before, or are made later.
        """
        top = Level(())
        self._add(top, blocks, names)
        return self._finished(top)

    def _add(self, level: Level, blocks: Iterable[Block], names: set[str]) -> None:
        for block in blocks:
            if isinstance(block, Recurrence):
                inner = Level((*level.axes, block.axis))
                self._add(inner, block.body, names)
                if inner.entries:
                    level.entries.append(Inner(block.axis, block.direction, inner))
                    level.makes |= dict.fromkeys(inner.makes, len(level.entries) - 1)
            elif block.name in names and block.name in self.forms.stored:
                self._value(level, block.name)

    def _value(self, level: Level, name: str) -> None:
        value, form = self.program[name], self.forms.form[name]
        if form is Form.HOST:
            return
        if form is Form.GEMM:
            gemm = self.works.gemm(value)
            level.entries.append(gemm)
            level.makes[name] = len(level.entries) - 1
            return
        if form is Form.KERNEL:
            level.entries.append(call(self.works, value))
            level.makes[name] = len(level.entries) - 1
            return
        for work in self.works.of(value):
            self._place(level, work)

    def _latest(self, level: Level, work: Work) -> int:
        """Return the last entry that a work depends on, -1 without any."""
        made = [
            level.makes[a.buffer]
            for a in work.reads
            if a.buffer in level.makes and not _earlier(a, level.axes)
        ]
        if work.value in level.makes:  # a piece of the same value
            made.append(level.makes[work.value])
        return max(made, default=-1)

    def _place(self, level: Level, work: Work) -> None:
        """Put a work into the first entry that can take it, or into a new one.

        Where it accumulates, the target is set at the level that holds the loops it adds up over.
        """
        latest = self._latest(level, work)
        for position in range(max(latest, 0), len(level.entries)):
            entry = level.entries[position]
            if isinstance(entry, Group) and self._joins(entry, work):
                if position > latest or self._fits(level, entry, work, position):
                    entry.works.append(work)
                    self._made(level, work, position)
                    return
            elif (
                isinstance(entry, Inner)
                and position == latest
                and self._sinks(level, entry, work, position)
            ):
                dims = tuple(d for d in work.dims if d.name != entry.axis)
                inner = replace(work, dims=dims, path=(*work.path, entry.axis))
                apart = work.store.access.moves(entry.axis)
                self._place(entry.level, inner if apart else _set(inner))
                self._made(level, _set(work) if apart else work, position)
                return
        level.entries.append(Group(work.dims, work.within, [work]))
        self._made(level, work, len(level.entries) - 1)

    def _joins(self, group: Group, work: Work) -> bool:
        """Whether a work has the loops of a group, and adds up over the same ones if it must."""
        if (group.dims, group.within) != (work.dims, work.within):
            return False
        return self.forms.target.fuses or _added(group.works[0]) == _added(work)

    def _made(self, level: Level, work: Work, position: int) -> None:
        """Note which entry makes a value, and set what it adds to at the start of the level."""
        level.makes[work.value] = max(position, level.makes.get(work.value, -1))
        before: list[Group | Fill] = []
        if work.clear is not None or work.fill == 0.0:
            before.append(Fill(work.value, level.axes, work.clear or 0.0))
        if work.fill:  # only points of the equation: zeros around them stay
            constant = work.constant(work.fill)
            before.append(Group(constant.dims, constant.within, [constant]))
        level.entries[:0] = before
        for name in level.makes:
            level.makes[name] += len(before)

    def _fits(self, level: Level, group: Group, work: Work, position: int) -> bool:
        """Whether a work may run in the same rows as what it depends on."""
        names = {d.name for d in group.dims}
        for access in work.reads:
            made = [w for w in group.works if w.value == access.buffer]
            if not made or _earlier(access, level.axes):
                continue
            for other in made:
                target = other.store.access
                if any(not target.moves(d) for d in names):
                    return False
                if dict(access.index) != dict(target.index):
                    return False
                if not _same_row(access, target, [d for d in names if d.startswith("#")]):
                    return False
                if (
                    other.vector is not None
                    and not other.vector.name.startswith("#")
                    and work.vector != other.vector
                ):
                    return False
        return True

    def _sinks(self, level: Level, inner: Inner, work: Work, position: int) -> bool:
        """Whether a work can be done inside of a loop that comes before it."""
        if not self.forms.target.fuses or all(d.name != inner.axis for d in work.dims):
            return False
        for access in work.reads:
            if level.makes.get(access.buffer) != position or _earlier(access, level.axes):
                continue
            index = dict(access.index).get(inner.axis)
            offset = None if index is None else index.offset_from(inner.axis)
            if offset is None or offset * inner.direction > 0 or inner.axis in access.guarded:
                return False
        return True

    def _finished(self, level: Level) -> list[Statement]:
        statements: list[Statement] = []
        for entry in level.entries:
            if isinstance(entry, Inner):
                statements.append(Loop(entry.axis, entry.direction, self._finished(entry.level)))
            elif isinstance(entry, Group):
                statements.append(Nest(entry.dims, self._kernels(entry.works), entry.within))
            else:
                statements.append(entry)
        return statements

    def _kernels(self, works: list[Work]) -> list[Kernel]:
        """Write works, in as few kernels as possible; each goes into the first that can take it."""
        kernels: list[Kernel] = []
        writers: list[Expressions] = []
        for work in works:
            position = self._kernel(kernels, work)
            if position == len(kernels):
                kernels.append(Kernel(work.vector))
                writers.append(self.works.expressions(kernels[-1]))
            work.write(writers[position])
            variable, store = kernels[position].stores[-1]
            if store.mode == "store":  # what is stored need not be loaded again
                writers[position].known[store.access] = X(variable)
        return kernels

    def _kernel(self, kernels: list[Kernel], work: Work) -> int:
        """Return the position of the kernel that a work goes to."""
        touched = {a.buffer for a in work.reads if not _earlier(a, work.path)} | {work.value}
        after = -1
        for position, kernel in enumerate(kernels):
            made = {s.access.buffer: s for _, s in kernel.stores}
            for name in touched & set(made):
                shared = self._shares(made[name], name, work)
                after = max(after, position if shared else position + 1)
        for position in range(max(after, 0), len(kernels)):
            kernel = kernels[position]
            if kernel.vector == work.vector and len(kernel.leaves) <= self.forms.target.leaves:
                return position
        return len(kernels)

    def _shares(self, store: Store, name: str, work: Work) -> bool:
        """Whether a work can use what a kernel stores while it is still in registers."""
        picks = {c.buffer for a in (*work.reads, work.store.access) for c, _ in a.indirect}
        if name in picks:  # a row is chosen before the kernel runs
            return False
        reads = [a for a in work.reads if a.buffer == name and not _earlier(a, work.path)]
        return store.mode == "store" and all(a == store.access for a in reads)


def _added(work: Work) -> list[Dim]:
    """Return the dimensions over which a work adds up."""
    return [d for d in work.dims if not work.store.access.moves(d.name)]


def _set(work: Work) -> Work:
    """Return a work whose target is set elsewhere."""
    return replace(work, fill=None, clear=None)


def _same_row(access: Access, target: Access, rows: list[str]) -> bool:
    """Whether what is read at a point of some feature dimensions is what is written there."""
    read, written = dict(access.terms), dict(target.terms)
    if any(read.get(d) != written.get(d) for d in rows):
        return False
    step = min((written[d] for d in rows if d in written), default=0)
    return not step or access.offset // step == target.offset // step


def _earlier(access: Access, looped: Iterable[str]) -> bool:
    """Whether an element was made by another iteration of a loop around."""
    index = dict(access.index)
    for axis in looped:
        offset = index[axis].offset_from(axis) if axis in index else None
        if offset is not None and offset != 0:
            return True
    return False
