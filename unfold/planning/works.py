"""Turn the values that are kept into units of work: what is computed, over which dimensions.

A `Work` is one store of one value (a `concat` has one per piece). Works are the atoms that
scheduling puts into nests and loops; `write` adds one to a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unfold.core.affine import Affine
from unfold.core.letters import letter, letters
from unfold.core.op import Over, View
from unfold.core.plan import VECTOR, Access, Dim, Gemm, Kernel, Store
from unfold.core.program import BATCH, Value
from unfold.core.scalar import X
from unfold.passes.reach import Reach
from unfold.planning.expressions import At, Expressions, Feature, strides, windowed
from unfold.planning.forms import Form, Forms

Root = Callable[[Expressions, At], X]


@dataclass(frozen=True)
class Work:
    """One store.

    Attributes:
        value: the equation.
        dims: the loops around the kernel, without the axes of `path`, outermost first.
        vector: the dimension the kernel runs over, None for single elements.
        path: axes of the loops that the equation is in.
        store: where the result goes.
        root: writes the result.
        fill: what the target holds before anything accumulates there, if it does.
        clear: what it holds at points where the equation has none, if anybody looks there.
        reads: what the kernel loads.
        within: forms that are negative at no point of the equation.
    """

    value: str
    dims: tuple[Dim, ...]
    vector: Dim | None
    path: tuple[str, ...]
    store: Store
    root: Root
    fill: float | None
    clear: float | None = None
    reads: tuple[Access, ...] = ()
    within: tuple[Affine, ...] = ()

    def write(self, expressions: Expressions) -> None:
        """Add the work to a kernel."""
        at = {d: Affine.axis(d) for d in expressions.program[self.value].iteration}
        kernel, result = expressions.kernel, expressions.line(self.root(expressions, at))
        if result.head == "number":
            kernel.lines.append((f"v{len(kernel.lines)}", result))
            result = X(kernel.lines[-1][0])
        kernel.stores.append((result.head, self.store))
        kernel.values.append(self.value)

    def constant(self, number: float) -> Work:
        """Return a work that sets each element of the target to a number."""
        moves = self.store.access.moves
        dims = tuple(d for d in self.dims if moves(d.name))
        axes = {*self.path, *(d.name for d in dims)}
        vector = self.vector if self.vector and moves(self.vector.name) else None
        axes |= {vector.name} if vector else set()
        return replace(
            self,
            dims=dims,
            vector=vector,
            store=Store(self.store.access),
            root=lambda e, at: X("number", (), number),
            fill=None,
            clear=None,
            reads=(),
            within=tuple(f for f in self.within if set(f.axes) <= axes),
        )


class Works:
    """Makes works.

    Args:
        forms: what each equation becomes.
        reach: which indices are checked where they are read.
    """

    def __init__(self, forms: Forms, reach: Reach) -> None:
        self.forms, self.program, self.reach = forms, forms.program, reach
        self.order = [a for a in forms.program.axes if a != BATCH] + [BATCH]

    def expressions(self, kernel: Kernel) -> Expressions:
        """Return the writer of a kernel."""
        return Expressions(self.program, self.forms.stored, self.reach, kernel)

    def of(self, value: Value) -> list[Work]:
        """Return the works of a value that is kept and is no GEMM."""
        form = self.forms.form[value.name]
        if form is Form.PIECES:
            return self._pieces(value)
        if form is Form.REDUCE:
            if value.is_contraction:
                return [self._einsum(value)]
            return [
                self._overlap(value) if value.row.over is Over.WINDOWS else self._reduction(value)
            ]
        shape = list(map(int, value.type.stored))
        return [self._elements(value, shape, lambda e, at, f: self._whole(e, value, at, f))]

    def gemm(self, value: Value) -> Gemm:
        """Return a product as GEMM."""
        own, result = letters(value)
        product = self.forms.products[value.name]
        expressions = self.expressions(Kernel(None))
        at = {d: Affine.axis(d) for d in value.iteration}
        batched = BATCH in value.iteration

        def operand(position: int) -> Access:
            ref = value.operands[position]
            source = self.program[ref.value]
            index = {a: i.substitute(at) for a, i in zip(source.axes, ref.index, strict=True)}
            features = tuple(Feature.along(letter(c)) for c in own[position])
            return expressions.access(source, index, features, batched=batched)

        target = self._target(value, tuple(Feature.along(letter(c)) for c in result))
        classes = (product.m, product.n, product.k, product.outer)
        return Gemm(value.name, operand(product.a), operand(product.b), target, *classes)

    # Kinds of works

    def _whole(self, e: Expressions, value: Value, at: At, features: tuple[Feature, ...]) -> X:
        return e.written(value, at, features)

    def _axes(self, value: Value) -> list[Dim]:
        """Return the axes that are looped over by the work itself, batch last."""
        looped = {loop.axis for loop in self.forms.paths[value.name]}
        return [Dim(a) for a in self.order if a in value.iteration and a not in looped]

    def _target(self, value: Value, features: tuple[Feature, ...]) -> Access:
        at = {a: Affine.axis(a) for a in value.axes}
        return self.expressions(Kernel(None)).access(value, at, features, batched=False)

    def _elements(
        self,
        value: Value,
        shape: list[int],
        root: Callable[[Expressions, At, tuple[Feature, ...]], X],
        start: int = 0,
    ) -> Work:
        """Return the work of a value, or of the part of it that starts at an element."""
        labels = _labels(shape)
        features = tuple(Feature.along(n) for n in labels)
        dims = self._axes(value) + [
            Dim(n, size) for n, size in zip(labels, shape, strict=True) if n and n != VECTOR
        ]
        vector = Dim(VECTOR, shape[labels.index(VECTOR)]) if VECTOR in labels else None
        target = Access(
            value.name,
            tuple((a, Affine.axis(a)) for a in value.axes),
            tuple(sorted((n, s) for n, s in zip(labels, strides(shape), strict=True) if n)),
            start,
        )
        return self._finish(
            value, dims, vector, Store(target), lambda e, at: root(e, at, features), None
        )

    def _pieces(self, value: Value) -> list[Work]:
        works: list[Work] = []
        if value.row.view is View.RESHAPE:
            source = self.program[value.operands[0].value]
            return [self._piece(value, 0, list(map(int, source.type.shape)), 0)]
        step = strides(value.type.shape)[0]
        position = 0
        if value.op == "pad":
            position = int(value.attributes["before"])
            size = int(self.program[value.operands[0].value].type.shape[0])
            after = int(value.attributes["after"])
            works += [
                self._zeros(value, [n, *map(int, value.type.shape[1:])], start * step)
                for start, n in ((0, position), (position + size, after))
                if n
            ]
        for which, ref in enumerate(value.operands):
            shape = list(map(int, self.program[ref.value].type.shape))
            works.append(self._piece(value, which, shape, position * step))
            position += shape[0] if shape else 1
        return [works[0], *(replace(w, clear=None) for w in works[1:])]

    def _piece(self, value: Value, which: int, shape: list[int], start: int) -> Work:
        return self._elements(
            value, shape, lambda e, at, f: e.read(value.operands[which], value, at, f), start
        )

    def _zeros(self, value: Value, shape: list[int], start: int) -> Work:
        return self._elements(value, shape, lambda e, at, f: X("number"), start)

    def _reduction(self, value: Value) -> Work:
        """Return the work of a reduction over axes or features."""
        ref = value.operands[0]
        shape = list(map(int, self.program[ref.value].type.shape))
        labels = _labels(shape)
        features = tuple(Feature.along(n) for n in labels)
        kept = self._kept(value, shape, labels)
        dims = self._axes(value)
        outer = [Dim(n, s) for n, s in zip(labels, shape, strict=True) if n and n != VECTOR]
        vector = Dim(VECTOR, shape[labels.index(VECTOR)]) if VECTOR in labels else None
        target = self._target(value, kept)
        return self._accumulate(
            value,
            dims + outer,
            vector,
            target,
            lambda e, at: e.read(ref, value, at, features),
        )

    def _kept(
        self, value: Value, shape: list[int], labels: list[str | None]
    ) -> tuple[Feature, ...]:
        """Return the features of the result, in terms of those of the operand."""
        own = [Feature.along(n) for n in labels]
        if value.row.over is Over.LAST:
            return (*own[:-1], Feature()) if value.attributes.get("keep") else tuple(own[:-1])
        if value.row.over is Over.SHAPE:
            wanted = list(map(int, value.type.shape))
            return tuple(Feature() if n == 1 else f for n, f in zip(wanted, own, strict=False))
        return tuple(own)

    def _overlap(self, value: Value) -> Work:
        """Return the work that adds up what windows hold where they overlap."""
        ref = value.operands[0]
        shape = list(map(int, self.program[ref.value].type.shape))
        labels = _labels(shape)
        features = tuple(Feature.along(n) for n in labels)
        dims = self._axes(value)
        dims += [Dim(n, s) for n, s in zip(labels, shape, strict=True) if n and n != VECTOR]
        vector = Dim(VECTOR, shape[labels.index(VECTOR)]) if VECTOR in labels else None
        target = replace(self._target(value, windowed(value, features)), overlaps=True)
        return self._finish(
            value,
            dims,
            vector,
            Store(target, "add"),
            lambda e, at: e.read(ref, value, at, features),
            0.0,
        )

    def _einsum(self, value: Value) -> Work:
        """Return the work of a product that is no GEMM."""
        own, result = letters(value)
        kinds = [self.program[r.value].type.kind for r in value.operands]
        sizes: dict[str, int] = {}
        for ref, names in zip(value.operands, own, strict=True):
            sizes.update(zip(names, map(int, self.program[ref.value].type.shape), strict=True))
        decided = {o for o, k in zip(own, kinds, strict=True) if k == "category"}
        free = [
            c for c in sizes if c not in decided or self._is_looped(c, own, result, kinds, value)
        ]
        chosen = _vector_letter(
            [o for o, k in zip(own, kinds, strict=True) if k != "category"], result, free, sizes
        )
        label = {c: VECTOR if c == chosen else letter(c) for c in free}
        where = {c: Feature.along(label[c] if sizes[c] > 1 else None) for c in free}
        at = {d: Affine.axis(d) for d in value.iteration}
        picks = self.expressions(Kernel(None)).picks(value, at, where)
        target = self._target(
            value,
            tuple(where[c] if c in where else Feature(category=picks[c]) for c in result),
        )
        dims = self._axes(value)
        dims += [Dim(label[c], sizes[c]) for c in free if c != chosen and sizes[c] > 1]
        vector = Dim(VECTOR, sizes[chosen]) if chosen else None
        return self._accumulate(
            value, dims, vector, target, lambda e, at: e.product(value, at, where)
        )

    def _is_looped(
        self, name: str, own: Sequence[str], result: str, kinds: list[str], value: Value
    ) -> bool:
        """Whether a letter that a category decides is looped over all the same (and compared)."""
        scattered = name in result and value.reduced
        if scattered:
            return False
        gathered = any(name in o for o, k in zip(own, kinds, strict=True) if k != "category")
        if not gathered:
            return name in result
        # A dot product with a category, over features that are made in the same kernel.
        which = next(
            i
            for i, (o, k) in enumerate(zip(own, kinds, strict=True))
            if k != "category" and name in o
        )
        return self.program[value.operands[which].value].name not in self.forms.stored

    def _accumulate(
        self,
        value: Value,
        dims: list[Dim],
        vector: Dim | None,
        target: Access,
        root: Root,
    ) -> Work:
        over = vector is not None and not target.moves(vector.name)
        how = value.row.reduces
        if how is None:
            return self._finish(value, dims, vector, Store(target, "argmax"), root, None)
        outer = [d.name for d in dims if not target.moves(d.name)]
        looped = {loop.axis for loop in self.forms.paths[value.name]} & set(value.reduced)
        assert not looped, (value.name, looped)
        if over:
            mode = how.name
            if not outer:
                return self._finish(
                    value, dims, vector, Store(target, mode, how.neutral), root, None
                )
        else:
            scattered = bool(target.indirect)
            mode = how.pair
            if not outer and not scattered:
                return self._finish(value, dims, vector, Store(target), root, None)
        return self._finish(value, dims, vector, Store(target, mode), root, how.neutral)

    def _finish(
        self,
        value: Value,
        dims: list[Dim],
        vector: Dim | None,
        store: Store,
        root: Root,
        fill: float | None,
    ) -> Work:
        path = tuple(loop.axis for loop in self.forms.paths[value.name])
        clear = None
        if value.name in self.forms.zero:
            clear = -1.0 if value.type.kind == "category" else 0.0
        work = Work(
            value.name, tuple(dims), vector, path, store, root, fill, clear, within=value.within
        )
        work = replace(work, reads=self._trial(work))
        wide = None if vector else self._wide(work)
        return self._over(work, wide) if wide else work

    def _trial(self, work: Work) -> tuple[Access, ...]:
        kernel = Kernel(work.vector)
        work.write(self.expressions(kernel))
        return tuple(dict.fromkeys(kernel.reads))

    def _wide(self, work: Work) -> str | None:
        """Return the axis that a kernel without features runs over: that of rows, or the batch."""
        accesses = (work.store.access, *work.reads)
        if work.store.mode == "argmax" or any(a.indirect or a.overlaps for a in accesses):
            return None
        looped = [d.name for d in work.dims]
        for access in accesses:
            row = self.forms.rows.get(access.buffer)
            if row in looped and all(self._runs_along(row, a) for a in accesses):
                return row
        ends = {a for f in work.within for a, _ in f.lasts if a in self.reach.varying}
        apart = ends or any(a.guarded and a.batched for a in accesses)
        return BATCH if BATCH in looped and not apart else None

    def _runs_along(self, axis: str, access: Access) -> bool:
        """Whether a kernel can read or write the points of an axis at a constant distance."""
        moving = [a for a, i in access.index if axis in i.axes]
        if not access.guarded or not moving:
            return True
        return not set(moving) & set(access.guarded) and self.forms.rows.get(access.buffer) == axis

    def _over(self, work: Work, axis: str) -> Work:
        """Return the work as a kernel over one of its axes."""
        dims = tuple(d for d in work.dims if d.name != axis)
        store, fill = work.store, work.fill
        if not store.access.moves(axis):
            how = self.program[work.value].row.reduces
            assert how is not None, work
            still = any(not store.access.moves(d.name) for d in dims)
            reset = None if still or fill is None else fill
            store = Store(store.access, how.name, reset)
            fill = fill if still else None
        elif fill is not None and all(store.access.moves(d.name) for d in dims):
            store, fill = Store(store.access), None
        return replace(work, dims=dims, vector=Dim(axis), store=store, fill=fill)


def _labels(shape: list[int]) -> list[str | None]:
    """Name the feature dimensions of a statement: the last one longer than 1 is the vector."""
    long = [i for i, n in enumerate(shape) if n > 1]
    return [
        None if n == 1 else VECTOR if i == long[-1] else letter(str(i)) for i, n in enumerate(shape)
    ]


def _vector_letter(
    own: Sequence[str], result: str, free: list[str], sizes: dict[str, int]
) -> str | None:
    """Choose the letter that most operands have innermost."""
    long = [c for c in free if sizes[c] > 1]
    if not long:
        return None

    def contiguous(c: str) -> tuple[int, int, int]:
        names = [*own, result]
        inner = sum(o.endswith(c) for o in names)
        strided = sum(c in o and not o.endswith(c) for o in names)
        return inner - 2 * strided, int(result.endswith(c)), sizes[c]

    return max(long, key=contiguous)
