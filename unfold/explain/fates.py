"""The result of planning each equation, input and parameter, and the points that are kept.

    h      W_hh @ h[t-1]: a product in the loop over t; a kernel in the loop over t
           kept: all t, for ∂h and ∂W_hh
    y      W_hy @ h[t]: a product, all t at once; written out in 3 kernels, not stored
    W_xh   rows gathered by x[t]

In: a Plan, and the names of its values. Out: one `Fate` per equation, in the order of the spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from unfold.core.op import GIVEN, Source, View
from unfold.core.origin import Joined, Next
from unfold.core.plan import (
    Access,
    Buffer,
    Call,
    Fill,
    Gemm,
    Kernel,
    Load,
    Loop,
    Nest,
    Pack,
    Plan,
    Statement,
    Store,
)
from unfold.core.program import BATCH, Value
from unfold.explain.names import HIDDEN, TURNED, Names, is_adjoint

MANY = 5  # names in a list


@dataclass(frozen=True)
class Fate:
    """The result of planning an equation of the spec, a gradient, an input or a parameter.

    Attributes:
        name: its name.
        kind: "equation", "gradient", "input" or "parameter".
        became: in phrases.
        loops: axes of the loops that it is computed in, outermost first.
        hoisted: parts of it that were taken out of these loops.
        kept: the points that are kept, "" if it has no memory of its own.
        readers: equations outside of its loops that read it, so that it must be kept.
    """

    name: str
    kind: str
    became: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    hoisted: tuple[str, ...] = ()
    kept: str = ""
    readers: tuple[str, ...] = ()


Place = tuple[Loop, ...]


@dataclass
class _Found:
    """Places of computation: (loops around, statement or kernel)."""

    products: dict[str, tuple[Place, Gemm]] = field(default_factory=dict[str, tuple[Place, Gemm]])
    calls: dict[str, tuple[Place, Call]] = field(default_factory=dict[str, tuple[Place, Call]])
    kernels: list[tuple[Place, Kernel]] = field(default_factory=list[tuple[Place, Kernel]])
    packs: list[Pack] = field(default_factory=list[Pack])
    reads: list[tuple[Place, str, str]] = field(default_factory=list[tuple[Place, str, str]])


def fates(plan: Plan, names: Names) -> tuple[Fate, ...]:
    """Return the result of planning everything that has a name in the spec.

    Args:
        plan: the Plan.
        names: of its values.
    """
    return _Fates(plan, names).all()


def _statements(level: list[Statement], place: Place) -> Iterator[tuple[Place, Statement]]:
    for statement in level:
        if isinstance(statement, Loop):
            yield from _statements(statement.body, (*place, statement))
        else:
            yield place, statement


class _Fates:
    """Collects the uses of each equation in statements."""

    def __init__(self, plan: Plan, names: Names) -> None:
        self.plan, self.names, self.program = plan, names, names.program
        self.found = _Found()
        for place, statement in _statements(plan.statements, ()):
            self._note(place, statement)

    def _note(self, place: Place, statement: Statement) -> None:
        found = self.found
        if isinstance(statement, Gemm):
            found.products[statement.value] = (place, statement)
            for access in (statement.a, statement.b):
                for reader in self.names.equations(statement.value):
                    found.reads.append((place, access.buffer, reader))
        elif isinstance(statement, Nest):
            for kernel in statement.kernels:
                found.kernels.append((place, kernel))
                for name in dict.fromkeys(kernel.values):
                    readers = self.names.equations(name)
                    read = self.names.reads(name, self.plan.buffers)
                    found.reads += [(place, buffer, r) for buffer in read for r in readers]
        elif isinstance(statement, Call):
            found.calls[statement.value] = (place, statement)
            for access in statement.operands:
                for reader in self.names.equations(statement.value):
                    found.reads.append((place, access.buffer, reader))
        elif isinstance(statement, Pack):
            found.packs.append(statement)
        else:
            assert isinstance(statement, Fill)

    def all(self) -> tuple[Fate, ...]:
        """Return one fate per name."""
        kinds: dict[str, str] = {}
        for value in self.program:
            hidden = value.source in (Source.CONSTANT, Source.COUNT)
            if hidden or isinstance(value.origin.equation, Next | Joined):
                continue
            if not isinstance(value.origin, TURNED):
                kinds.setdefault(value.node or value.name, _kind(value))
        given = {s.value for s in GIVEN}
        return tuple(
            self._source(n, k) if k in given else self._equation(n, k) for n, k in kinds.items()
        )

    # Inputs and parameters

    def _source(self, name: str, kind: str) -> Fate:
        became: list[str] = []
        packed = sum(p.b.buffer == name for p in self.found.packs)
        for value in self.program:
            parts = value.origin.parts if isinstance(value.origin, Joined) else (value.name,)
            if value.row.view is View.PIECES and name in parts:
                became.append(f"joined: {self.names.show(value.name)}")
                packed += sum(p.b.buffer == value.name for p in self.found.packs)
        turned = {
            v.name
            for v in self.program
            if isinstance(v.origin, TURNED) and v.origin.of.name == name
        }
        if turned & set(self.plan.buffers):
            became.append("transposed")
        became += [f"rows gathered by {c}" for c in self._gatherers({name} | turned)]
        if packed:
            became.append(f"packed for {'a loop' if packed == 1 else f'{packed} loops'}")
        if rows := self._gathers(name):
            became.append(f"picks rows of {rows}")
        return Fate(name, kind, tuple(dict.fromkeys(became)))

    def _gatherers(self, buffers: set[str]) -> list[str]:
        return [
            self.names.access(c)
            for _, kernel in self.found.kernels
            for a in _loads(kernel)
            for c, _ in a.indirect
            if a.buffer in buffers
        ]

    def _gathers(self, name: str) -> str:
        """Return the rows that an input picks as a category."""
        rows: dict[str, None] = {}
        for _, kernel in self.found.kernels:
            for access in (*_loads(kernel), *(s.access for _, s in kernel.stores)):
                if any(c.buffer == name for c, _ in access.indirect):
                    rows[self.names.source(access.buffer)] = None
        return ", ".join(rows)

    # Equations and gradients

    def _equation(self, name: str, kind: str) -> Fate:
        own = [v.name for v in self.program if (v.node or v.name) == name]
        whole = name if name in own else own[-1]
        loops = tuple(loop.axis for loop in self._place(whole))
        became: list[str] = []
        hoisted: list[str] = []
        for product in [p for p in self.found.products if name in self.names.equations(p)]:
            words, out = self._product(product, loops)
            became.append(words)
            hoisted += out
        became += [
            f"{self.names.call(self.program[n])}: a kernel of its own for each sequence"
            for n in own
            if n in self.found.calls
        ]
        became += self._kernels(name, own, whole)
        slow = (self.names.slow(n, self.plan.slow) for n in own)
        became += [f"vector loops, not a GEMM: {why}" for why in slow if why]
        host = [n for n in own if n in self.plan.buffers and self.plan.buffers[n].role == "host"]
        if any(self.program[n].source is not Source.COUNT for n in host):
            became.append("drawn by NumPy before the run")
        elif host and not any(n in self.found.calls for n in own):
            became.append("divided by counts that NumPy makes before the run")
        kept, readers = self._kept(own, whole)
        return Fate(name, kind, tuple(dict.fromkeys(became)), loops, tuple(hoisted), kept, readers)

    def _place(self, name: str) -> Place:
        """Return the loops that compute a value; if it is not stored, its reader's."""
        if name in self.found.products:
            return self.found.products[name][0]
        if name in self.found.calls:
            return self.found.calls[name][0]
        places = [p for p, k in self.found.kernels if name in k.values]
        if not places:
            places = [p for p, k in self.found.kernels if name in self._inside(k)]
        return min(places, key=len, default=())

    def _inside(self, kernel: Kernel) -> set[str]:
        return {n for v in kernel.values for n in self.names.inside(v, self.plan.buffers)}

    def _product(self, product: str, loops: tuple[str, ...]) -> tuple[str, list[str]]:
        """Describe a product, and return it if it left the equation's loops."""
        place, gemm = self.found.products[product]
        text = self.names.product(self.program[product])
        around = tuple(loop.axis for loop in place)
        shared, joined = self.names.equations(product), self.names.joined(product)
        many = f"{joined} products in one" if joined > 1 else "a product"
        together = joined > 1 and self.names.is_split(product)
        words = f"{text}: {f'one product for {_listed(shared)}' if together else many}"
        out = [a for a in loops if a not in around]
        if out:
            return f"{words}, hoisted out of the loop over {' and '.join(out)}", [text]
        if around:
            return f"{words} in the loop over {' and '.join(around)}", []
        return (f"{words}, all {', '.join(gemm.axes)} at once" if gemm.axes else words), []

    def _kernels(self, name: str, own: list[str], whole: str) -> list[str]:
        """Describe the kernels that compute an equation, those in one loop together."""
        mine = set(own)
        groups: dict[tuple[int, ...], tuple[Place, list[Kernel]]] = {}
        for place, kernel in self.found.kernels:
            if mine & set(kernel.values):
                groups.setdefault(tuple(map(id, place)), (place, []))[1].append(kernel)
        found = [w for p, kernels in groups.values() for w in self._group(name, mine, p, kernels)]
        unmade = whole not in self.plan.buffers and self.program[whole].source not in HIDDEN
        inside = [k for _, k in self.found.kernels if whole in self._inside(k)] if unmade else []
        if len(inside) > 1:
            found.append(f"written out in {len(inside)} kernels, not stored")
        elif inside and not mine & set(inside[0].values):
            made = (n for n, (_, s) in _stores(inside[0]) if s.mode != "add")
            others = self.names.sorted(e for n in made for e in self.names.equations(n))
            found.append(f"fused into the kernel of {_listed(others)}")
        return found

    def _group(self, name: str, mine: set[str], place: Place, kernels: list[Kernel]) -> list[str]:
        """Describe the work of the kernels in one loop for an equation."""
        where = f" in the loop over {' and '.join(o.axis for o in place)}" if place else ""
        copies, scattered, added, computed = 0, dict[str, None](), False, list[Kernel]()
        for kernel in kernels:
            stores = [
                (n, s) for n, (_, s) in zip(kernel.values, kernel.stores, strict=True) if n in mine
            ]
            picks = [c for _, s in stores for c, _ in s.access.indirect]
            if picks:
                scattered |= dict.fromkeys(map(self.names.access, picks))
            elif not kernel.lines and all(self.names.is_copy(self.program[n]) for n, _ in stores):
                copies += 1
            elif all(s.mode == "add" for _, s in stores):
                added = True
            else:
                computed.append(kernel)
        found: list[str] = []
        if computed:
            made = {n for k in computed for n, (_, s) in _stores(k) if s.mode != "add"}
            hidden = {n for k in computed for n in self._inside(k)}
            all_of = self.names.sorted(e for n in made | hidden for e in self.names.equations(n))
            several = len(computed) > 1
            head = f"{len(computed)} kernels" if several else "one kernel"
            alone = all_of == (name,)
            fused = "" if alone else f" for {_listed(all_of)}"
            found.append(f"{'a kernel' if alone and not several else head + fused}{where}")
        if scattered:
            found.append(f"scattered by {', '.join(scattered)}{where}")
        if added:
            found.append(f"added up{where}")
        if copies:
            found.append(f"copied{where}")
        return found

    # What is kept

    def _kept(self, own: list[str], whole: str) -> tuple[str, tuple[str, ...]]:
        """Return the points of an equation that are kept, and its readers elsewhere."""
        buffers = self.plan.buffers
        stored = [n for n in own if n in buffers and buffers[n].role == "computed"]
        if whole not in stored and not stored:
            return "", ()
        chosen = whole if whole in stored else max(stored, key=lambda n: _span(buffers[n]))
        words = self._points(buffers[chosen])
        if chosen != whole:
            words += ", of a part"
        place = self._place(chosen)
        outside = [r for p, b, r in self.found.reads if b == chosen and not _within(p, place)]
        return words, self.names.sorted(outside)

    def _points(self, buffer: Buffer) -> str:
        axes = [a for a in self.program[buffer.name].axes if a != BATCH]
        stored = {s.axis: s.ring for s in buffer.axes}
        parts: list[str] = []
        for axis in axes:
            points = stored.get(axis, 1)
            many = "all" if points is None else "one" if points == 1 else f"the last {points}"
            parts.append(f"{many} {self.names.axis(axis)}")
        return ", ".join(parts) if parts else "whole"


def _span(buffer: Buffer) -> tuple[int, int]:
    return sum(s.ring is None for s in buffer.axes), len(buffer.axes)


def _kind(value: Value) -> str:
    return value.op if value.is_given else "gradient" if is_adjoint(value) else "equation"


def _within(place: Place, around: Place) -> bool:
    return all(a is b for a, b in zip(place, around, strict=False)) and len(place) >= len(around)


def _loads(kernel: Kernel) -> list[Access]:
    return [leaf.access for leaf in kernel.leaves.values() if isinstance(leaf, Load)]


def _stores(kernel: Kernel) -> Iterator[tuple[str, tuple[str, Store]]]:
    return zip(kernel.values, kernel.stores, strict=True)


def _listed(names: Sequence[str]) -> str:
    if len(names) > MANY + 1:
        return f"{', '.join(names[:MANY])} and {len(names) - MANY} more"
    return ", ".join(names)
