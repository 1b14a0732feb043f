"""Write the elements of values as straight-line scalar code: what a kernel does.

`Expressions` adds leaves and lines to a `Kernel`. A value that is kept in a buffer becomes a load;
any other is written out in terms of its operands, at the index and features that are asked for. One
element is written once per kernel.

    z[t, 128 + #]  with  z = z.1 + b      x0 = load z.1[t, 128 + #];  x1 = load b[128 + #]
                                          v0 = x0 + x1
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from unfold.core.affine import Affine
from unfold.core.letters import letters
from unfold.core.op import Source, View
from unfold.core.origin import LastIndex
from unfold.core.plan import Access, Coordinate, Kernel, Last, Leaf, Load
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.scalar import X, call
from unfold.core.windows import Geometry
from unfold.passes.reach import Reach

At = Mapping[str, Affine]


@dataclass(frozen=True)
class Feature:
    """An index along a feature dimension: dimensions of the statement or a category, + offset.

    Attributes:
        terms: (dimension, factor).
        offset: elements.
        category: decides the index, if any.
    """

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0
    category: Access | None = None

    @classmethod
    def along(cls, dim: str | None) -> Feature:
        """Return the index of a dimension, or the first element."""
        return cls() if dim is None else cls(((dim, 1),))

    def moved(self, offset: int) -> Feature:
        """Return the index further on."""
        return replace(self, offset=self.offset + offset)

    def times(self, factor: int) -> Feature:
        """Return the index multiplied."""
        assert self.category is None, self
        terms = tuple((d, n * factor) for d, n in self.terms)
        return Feature(terms, self.offset * factor)

    def plus(self, other: Feature) -> Feature:
        """Return the sum of two indices."""
        assert self.category is None and other.category is None, (self, other)
        return Feature(_merged([*self.terms, *other.terms]), self.offset + other.offset)


Features = tuple[Feature, ...]


def strides(shape: Sequence[int]) -> list[int]:
    """Return elements per step of every feature dimension."""
    return [prod(map(int, shape[i + 1 :])) for i in range(len(shape))]


class Expressions:
    """The writer of one kernel.

    Args:
        program: decomposed.
        stored: names of the values that have buffers.
        reach: which indices are checked where they are read.
        kernel: receives leaves and lines.
    """

    def __init__(
        self, program: Program, stored: Container[str], reach: Reach, kernel: Kernel
    ) -> None:
        self.program, self.stored, self.reach, self.kernel = program, stored, reach, kernel
        self.known: dict[object, X] = {}
        self._leaves: dict[Leaf, X] = {v: X(n) for n, v in kernel.leaves.items()}

    def leaf(self, leaf: Leaf) -> X:
        """Return the variable of a leaf."""
        if leaf not in self._leaves:
            name = f"x{len(self.kernel.leaves)}"
            self.kernel.leaves[name] = leaf
            self._leaves[leaf] = X(name)
        return self._leaves[leaf]

    def line(self, x: X) -> X:
        """Give an expression a variable."""
        if not x.arguments:
            return x
        name = f"v{len(self.kernel.lines)}"
        self.kernel.lines.append((name, x))
        return X(name)

    def read(self, ref: Ref, reader: Value, at: At, features: Features) -> X:
        """Return an operand of an equation, with the reader's axes at `at`."""
        source = self.program[ref.value]
        index = {a: i.substitute(at) for a, i in zip(source.axes, ref.index, strict=True)}
        return self.element(source, index, features, batched=BATCH in reader.iteration)

    def access(self, value: Value, at: At, features: Features, *, batched: bool) -> Access:
        """Return where an element of a stored value is."""
        shape = value.type.stored
        assert len(shape) == len(features), (value.name, shape, features)
        terms: list[tuple[str, int]] = []
        offset, indirect = 0, []
        for step, feature in zip(strides(shape), features, strict=True):
            offset += feature.offset * step
            terms += [(dim, factor * step) for dim, factor in feature.terms]
            if feature.category is not None:
                indirect.append((feature.category, step))
        index = tuple((a, at[a]) for a in value.axes)
        guarded = tuple(a for a, i in index if self.reach.is_uneven(i, a, batched=batched))
        ends = batched and bool(guarded)
        return Access(value.name, index, _merged(terms), offset, tuple(indirect), guarded, ends)

    def element(self, value: Value, at: At, features: Features, *, batched: bool) -> X:
        """Return an element of a value."""
        if value.name in self.stored:
            access = self.access(value, at, features, batched=batched)
            key: object = access
            if key not in self.known:
                self.known[key] = self.leaf(Load(access))
            return self.known[key]
        key = (
            value.name,
            tuple(at.items()),
            features,
            batched and value.source in (Source.INSIDE, Source.INDEX),
        )
        if key not in self.known:
            self.known[key] = self.line(self.written(value, at, features))
        return self.known[key]

    def written(self, value: Value, at: At, features: Features) -> X:
        """Return an element of a value in terms of its operands."""
        row = value.row
        if value.is_contraction:
            return self._contraction(value, at, features)
        if row.source is not None:
            return self._source(value, at)
        if row.scalar is None:
            return self._viewed(value, at, features)
        return row.scalar(
            *(self.operand(value, i, at, features) for i in range(len(value.operands)))
        )

    def operand(self, value: Value, position: int, at: At, features: Features) -> X:
        """Return an operand of a pointwise equation, its features repeated where they are 1."""
        ref = value.operands[position]
        return self.read(
            ref, value, at, fitted(self.program[ref.value].type.stored, value.type.stored, features)
        )

    def coordinate(self, feature: Feature) -> X:
        """Return a feature index as a number."""
        total = None if feature.category is None else self.leaf(Load(feature.category))
        for dim, factor in feature.terms:
            total = _plus(total, self.leaf(Coordinate(dim)), factor)
        if total is None:
            return X("number", (), float(feature.offset))
        return self.line(total + float(feature.offset)) if feature.offset else total

    def affine(self, index: Affine, *, batched: bool) -> X:
        """Return an index as a number, not divided."""
        total: X | None = None
        for axis, factor in index.terms:
            total = _plus(total, self.leaf(Coordinate(axis)), factor)
        for axis, factor in index.lasts:
            total = _plus(total, self.last(axis, batched=batched), factor)
        for part, factor in index.parts:
            inner, by = (self.whole(e, batched=batched) for e in (part.inner, part.by))
            made = call("mod", inner, by) if part.remainder else call("floor", inner / by)
            total = _plus(total, self.line(made), factor)
        if total is None:
            return X("number", (), float(index.constant))
        return self.line(total + float(index.constant)) if index.constant else self.line(total)

    def last(self, axis: str, *, batched: bool) -> X:
        """Return the last index of an axis, of the reader's sequence if it has one."""
        if batched and axis in self.reach.varying:
            own = ((BATCH, Affine.axis(BATCH)),)
            return self.leaf(Load(Access(LastIndex(axis).name, own, batched=True)))
        return self.leaf(Last(axis))

    # Rows that are not pointwise

    def _source(self, value: Value, at: At) -> X:
        """Return a number, an index, or whether one is inside of a domain."""
        if value.is_constant:
            return X("number", (), float(value.attributes["value"]))
        index = value.attributes["index"].substitute(at)
        if value.source is Source.INDEX:
            return self.whole(index, batched=value.batched)
        return self.inside(index, value.attributes["axis"], batched=value.batched)

    def whole(self, index: Affine, *, batched: bool) -> X:
        """Return an index as a number, floored."""
        number = self.affine(index, batched=batched)
        return number if index.divisor == 1 else call("floor", number / float(index.divisor))

    def inside(self, index: Affine, axis: str, *, batched: bool) -> X:
        """Return whether an index is in the domain of an axis."""
        whole = self.line(self.whole(index, batched=batched))
        inside = call(
            "and", call("le", 0.0, whole), call("le", whole, self.last(axis, batched=batched))
        )
        for condition in self._exact(index, batched=batched):
            inside = call("and", inside, condition)
        return inside

    def _exact(self, index: Affine, *, batched: bool) -> list[X]:
        """Return the conditions under which all divisions in an index are without a remainder."""
        found = [c for p, _ in index.parts for c in self._exact(p.inner, batched=batched)]
        if index.divisor != 1:
            back = self.whole(index, batched=batched) * float(index.divisor)
            found.append(call("eq", back, self.affine(index, batched=batched)))
        return found

    def _viewed(self, value: Value, at: At, features: Features) -> X:
        """Return an element of a view: an element of what is viewed."""
        ref, view = value.operands[0], value.row.view
        source = self.program[ref.value].type
        if view is View.ONE_HOT:
            return self.hit(self.read(ref, value, at, ()), features[0])
        if view is View.REPEAT:
            return self.operand(value, 0, at, features)
        if view is View.PART:
            features = (features[0].moved(int(value.attributes["start"])), *features[1:])
        elif view is View.RESHAPE:
            features = reshaped(source.shape, value.type.shape, features)
        else:
            assert view is View.WINDOWS, value
            features = windowed(value, features)
        return self.read(ref, value, at, features)

    def hit(self, category: X, feature: Feature) -> X:
        """Return 1 where a feature index is a category, else 0."""
        return call("select", call("eq", category, self.coordinate(feature)), 1.0, 0.0)

    def _contraction(self, value: Value, at: At, features: Features) -> X:
        _, result = letters(value)
        return self.product(value, at, dict(zip(result, features, strict=True)))

    def product(self, value: Value, at: At, where: Mapping[str, Feature]) -> X:
        """Return the product of an einsum's operands at some point of its letters.

        A letter that `where` lacks is one that a category decides.
        """
        own, _ = letters(value)
        kinds = [self.program[r.value].type.kind for r in value.operands]
        picked = self.picks(value, at, where)
        factors: list[X] = []
        for ref, names, kind in zip(value.operands, own, kinds, strict=True):
            if kind == "category":
                category = self.read(ref, value, at, ())
                if names in where:
                    factors.append(self.hit(category, where[names]))
                elif picked[names] != self._category(ref, value, at):
                    factors.append(
                        call(
                            "select", call("eq", category, self.leaf(Load(picked[names]))), 1.0, 0.0
                        )
                    )
                elif all(
                    names not in o for o, k in zip(own, kinds, strict=True) if k != "category"
                ):
                    factors.append(call("select", call("le", 0.0, category), 1.0, 0.0))
                continue
            chosen = tuple(where[c] if c in where else Feature(category=picked[c]) for c in names)
            factors.append(self.read(ref, value, at, chosen))
        total = factors[0] if factors else X("number", (), 1.0)
        for factor in factors[1:]:
            total = total * factor
        return total

    def picks(self, value: Value, at: At, where: Container[str]) -> dict[str, Access]:
        """Return the category that decides each letter which is not looped over."""
        own, _ = letters(value)
        found: dict[str, Access] = {}
        for ref, names in zip(value.operands, own, strict=True):
            if self.program[ref.value].type.kind == "category" and names not in where:
                found.setdefault(names, self._category(ref, value, at))
        return found

    def _category(self, ref: Ref, value: Value, at: At) -> Access:
        source = self.program[ref.value]
        index = {a: i.substitute(at) for a, i in zip(source.axes, ref.index, strict=True)}
        assert source.name in self.stored, source
        return self.access(source, index, (), batched=BATCH in value.iteration)


def _plus(total: X | None, x: X, factor: int) -> X:
    term = x if factor == 1 else x * float(factor)
    return term if total is None else total + term


def _merged(terms: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for dim, step in terms:
        found[dim] = found.get(dim, 0) + step
    return tuple(sorted(found.items()))


def windowed(value: Value, features: Features) -> Features:
    """Return the features of the operand of windows, or of what a sum of windows makes."""
    own = Geometry.of(value.attributes)
    rank = len(own.size)
    inner, places = features[-2 * rank : -rank], features[-rank:]
    pairs = zip(inner, places, own.dilation, own.stride, own.start, strict=True)
    moved = (i.times(d).plus(u.times(s)).moved(start) for i, u, d, s, start in pairs)
    return (*features[: -2 * rank], *moved)


def fitted(shape: Sequence[int], into: Sequence[int], features: Features) -> Features:
    """Return the features of an operand of a pointwise equation."""
    if not shape:
        return ()
    return tuple(
        Feature() if int(n) == 1 and int(m) != 1 else f
        for n, m, f in zip(shape, into, features, strict=True)
    )


def reshaped(source: Sequence[int], target: Sequence[int], features: Features) -> Features:
    """Return the features of a value that is only given or rid of dimensions of 1."""
    kept = [f for n, f in zip(target, features, strict=True) if int(n) != 1]
    return tuple(Feature() if int(n) == 1 else kept.pop(0) for n in source)
