"""What a random spec has so far: axes, sizes, parameters, what can be read; and reading it.

    draft.read(h, place)   ->   h[t-1], h[last], h[2*u+1], h[t+k-1] … with the axes of the place

Inside a cycle of equations the index is such that the cycle stays legal: a delay along the group's
main axis, always in one direction, or the same step of an equation that stands before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from tests.differential.case import Piece

T = TypeVar("T")
Shape = tuple[str, ...]
SIZES = {1: 1.0, 2: 3, 3: 4, 4: 2, 5: 3, 6: 1, 7: 3, 8: 0.5, 16: 0.4, 17: 0.5, 33: 0.3}


@dataclass(frozen=True)
class Axis:
    """An axis: its text in the spec, the axis whose points it shares, and where it comes from."""

    name: str
    text: str
    points: str
    origin: str = "data"  # or "fixed", or "derived" from the axis that the text names

    @property
    def window(self) -> bool:
        """Whether it is short, so that it can be a window or a stack of layers."""
        return self.origin == "fixed"


@dataclass(frozen=True)
class Source:
    """A value that can be read: a category has its number of classes as its shape."""

    name: str
    axes: tuple[str, ...]
    shape: Shape
    kind: str = "real"
    bound: float = 1.0
    batched: bool = True


@dataclass(frozen=True)
class Cycle:
    """A group of equations that may read one another.

    Attributes:
        main: the axis with the delays.
        direction: +1 for t-1, -1 for t+1.
        members: the values, in the order of their equations.
        second: a second axis with delays, where every value has both; and its direction.
    """

    main: str
    direction: int
    members: tuple[Source, ...]
    second: tuple[str, int] | None = None


@dataclass(frozen=True)
class Place:
    """Where an expression stands: its axes, those bound by reductions, and the cycle it is in."""

    axes: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    cycle: Cycle | None = None
    position: int = 0

    @property
    def all_axes(self) -> tuple[str, ...]:
        """The axes that an index may use."""
        return (*self.axes, *self.bound)

    def inside(self, *axes: str) -> Place:
        """Return the place inside of a reduction."""
        return replace(self, bound=(*self.bound, *axes))


class Draft:
    """A spec that is being written.

    Args:
        rng: every choice comes from it.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.axes: dict[str, Axis] = {}
        self.sizes: dict[str, str] = {}
        self.values: list[Source] = []
        self.parameters: list[Source] = []
        self.declared: dict[str, str] = {}
        self.names: dict[str, int] = {}

    # Choices

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.rng.random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of several, all alike."""
        return choices[self.rng.randrange(len(choices))]

    def weigh(self, choices: Mapping[T, float]) -> T:
        """Return one of several with their weights."""
        return self.rng.choices(list(choices), list(choices.values()))[0]

    def name(self, prefix: str) -> str:
        """Return a name that is not taken."""
        self.names[prefix] = self.names.get(prefix, 0) + 1
        return f"{prefix}{self.names[prefix]}"

    # Sizes

    def size(self) -> str:
        """Return a size, rarely a new one."""
        base = [n for n, text in self.sizes.items() if text.isdigit()]
        if not base or (len(base) < 3 and self.chance(0.3)):
            name = "abc"[len(base)]
            used = {int(self.sizes[n]) for n in base}
            self.sizes[name] = str(self.weigh({n: w for n, w in SIZES.items() if n not in used}))
            return name
        return self.pick(base)

    def derived(self, text: str) -> str:
        """Return the size that is an expression of others."""
        for name, other in self.sizes.items():
            if other == text:
                return name
        name = self.name("d")
        self.sizes[name] = text
        return name

    def extent(self, size: str) -> int:
        """Return what a size is."""
        text = self.sizes.get(size, size)
        if text.isdigit():
            return int(text)
        for operator, function in (("*", int.__mul__), ("+", int.__add__), ("-", int.__sub__)):
            left, found, right = text.partition(f" {operator} ")
            if found:
                return function(self.extent(left), self.extent(right))
        raise AssertionError(text)

    # Parameters

    def parameter(self, shape: Shape, place: Place, prefix: str = "") -> Piece:
        """Return a parameter of a shape, shared with another place or new, perhaps with axes."""
        same = [p for p in self.parameters if p.shape == shape]
        windows = [a for a in place.bound if self.axes[a].window]
        fitting = [p for p in same if not windows or windows[-1] in p.axes]
        if fitting and self.chance(0.5):
            return self.read(self.pick(fitting), place)
        axes: tuple[str, ...] = ()
        if windows and self.chance(0.8):
            axes = (windows[-1],)
        elif place.axes and self.chance(0.12):
            axes = (self.pick(place.axes),)
        name = self.name(prefix or ("w", "b", "W", "T")[len(shape)])
        source = Source(name, axes, shape, batched=False)
        self.parameters.append(source)
        dims = f"[{', '.join(shape)}]"
        target = f"{name}[{axes[0]}]" if axes else name
        self.declared[target] = dims
        if self.chance(0.05):
            self.declared[target] = f"{{shape: {dims}, frozen: true}}"
        return self.read(source, place)

    # Reading

    def readable(self, place: Place) -> list[Source]:
        """Return what an equation at a place can read, the members of its cycle several times."""
        members = () if place.cycle is None else place.cycle.members
        delayed = members if place.cycle is not None and self._delays(place) else ()
        return [*self.values, *delayed, *delayed]

    def _delays(self, place: Place) -> bool:
        assert place.cycle is not None
        return place.cycle.main in place.all_axes

    def read(self, source: Source, place: Place) -> Piece:
        """Return a reference to a value."""
        if place.cycle is not None and source in place.cycle.members:
            return self._read_cycle(source, place, place.cycle)
        pairs = [self._index(a, place) for a in source.axes]
        return self._reference(source, [p[0] for p in pairs], [p[1] for p in pairs])

    def _reference(self, source: Source, index: Sequence[str], tags: Sequence[str]) -> Piece:
        text = f"{source.name}[{', '.join(index)}]" if index else source.name
        tag = next((t for t in tags if t != "same"), "read" if tags else "read without axes")
        kind = "" if source.kind == "real" else f" of a {source.kind}"
        if any(p.name == source.name for p in self.parameters):
            kind = " of a parameter"
        return Piece(text, tag=tag + kind, bound=source.bound)

    def _index(self, axis: str, place: Place) -> tuple[str, str]:
        """Return an index along an axis of what is read, and what sort it is."""
        here = place.all_axes
        own = self.axes[axis]
        forms: dict[tuple[str, str], float] = {
            ("0", "fixed index"): 0.5,
            ("first", "first"): 0.5,
            ("last", "last"): 0.7,
            ("1", "fixed index"): 0.3,
            ("last-1", "last"): 0.2,
        }
        windows = [a for a in here if self.axes[a].window and a != axis]
        for a in here:
            if self.axes[a].points == own.points:
                weight = 2.0 if a == axis else 0.8
                forms |= self._forms(a, weight, "same" if a == axis else "another axis")
                for k in windows:
                    forms[f"{a}+{k}-{self.rng.randrange(4)}", "window"] = 4 * weight
                    forms[f"{a}-{k}", "window"] = 2 * weight
                    forms[f"2*{a}+{k}-1", "window of stride 2"] = weight
            elif own.name in self.axes[a].text and self.axes[a].origin == "derived":
                forms[f"2*{a}", "stride 2"] = forms[f"2*{a}+1", "stride 2"] = 6.0
            else:
                forms |= {(a, "another axis"): 0.8, (f"last-{a}", "another axis"): 0.2}
                forms |= {(f"2*{a}", "another axis"): 0.3, (f"{a}-1", "another axis"): 0.2}
        if len(here) > 1:
            a, b = self.rng.sample(here, 2)
            forms |= {(f"{a}-{b}", "two axes"): 0.5, (f"{a}+{b}", "two axes"): 0.3}
            forms |= {(f"({a}-{b})%(last+1)", "two axes, turned"): 0.3}
            forms |= {(f"({a}+{b})//2", "two axes, floored"): 0.2}
        return self.weigh(forms)

    def _forms(self, a: str, weight: float, plain: str) -> dict[tuple[str, str], float]:
        return {
            (a, plain): 7 * weight,
            (f"{a}-1", "delay 1"): weight,
            (f"{a}-2", "delay 2"): 0.5 * weight,
            (f"{a}-3", "delay 3"): 0.2 * weight,
            (f"{a}+1", "ahead 1"): weight,
            (f"{a}+2", "ahead 2"): 0.3 * weight,
            (f"last-{a}", "reversed"): 0.5 * weight,
            (f"2*{a}", "stride 2"): 0.2 * weight,
            (f"2*{a}-1", "stride 2"): 0.2 * weight,
            (f"3*{a}-2", "stride 3"): 0.1 * weight,
            (f"{a}//2", "floored"): 0.2 * weight,
            (f"(2*{a}-1)//3", "floored"): 0.1 * weight,
            (f"{a}%2", "remainder"): 0.2 * weight,
            (f"{a}-{a}%3", "remainder"): 0.1 * weight,
            (f"({a}+2)%(last+1)", "turned"): 0.2 * weight,
            (f"{a}-200", "far"): 0.05 * weight,
            (f"{a}+200", "far"): 0.05 * weight,
            (f"100*{a}-99", "far"): 0.05 * weight,
        }

    def _read_cycle(self, source: Source, place: Place, cycle: Cycle) -> Piece:
        """Return a reference to a member of the cycle that keeps the cycle legal."""
        earlier = cycle.members.index(source) < place.position
        second = cycle.second
        form = self.weigh({"delay": 5.0, "same": 3.0 * earlier, "second": 5.0 * bool(second)})
        index, tags = [], []
        for axis in source.axes:
            if axis == cycle.main:
                text, tag = (axis, "same") if form != "delay" else self._delay(place, cycle)
            elif second and axis == second[0]:
                moved = f"{axis}{-second[1]:+d}"
                text, tag = (moved, "2-D recurrence") if form == "second" else (axis, "same")
            elif axis in place.all_axes and self.chance(0.8):
                text, tag = axis, "same"
            else:
                text, tag = self._index(axis, replace(place, bound=()))
            index.append(text)
            tags.append(tag)
        piece = self._reference(source, index, tags)
        return replace(piece, tag=f"recurrence, {piece.tag}")

    def _delay(self, place: Place, cycle: Cycle) -> tuple[str, str]:
        axis, sign = cycle.main, cycle.direction
        windows = [a for a in place.bound if self.axes[a].window]
        if windows and self.chance(0.8):
            k = windows[-1]
            if sign < 0:
                return f"{axis}+{k}+1", "window ahead"
            return self.pick([f"{axis}-{k}-1", f"{axis}+{k}-{self.axes[k].text}"]), "window"
        steps = self.weigh({1: 6.0, 2: 2.0, 3: 1.0, 150: 0.2})
        return f"{axis}{-sign * steps:+d}", f"{'delay' if sign > 0 else 'ahead'} {steps}"

    # Sources of a kind

    def sources(self, place: Place, accept: Callable[[Source], bool]) -> list[Source]:
        """Return what can be read and is accepted."""
        return [v for v in self.readable(place) if accept(v)]
