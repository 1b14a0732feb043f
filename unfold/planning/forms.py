"""Decide what each equation becomes, and which values are kept in buffers.

A value is a `Form`: scalar code ("pointwise"), scalar code joined from pieces, a reduction, a
product that runs as GEMM, or something that is there before the run. Pointwise values are written
out in the kernels that read them, unless

* they are asked for, read at another index point, or read by a GEMM or through a category;
* they cost a transcendental function, and are read in another loop, at more index points, or by a
  reduction and by something else;
* they are long, and read in different loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from unfold.core.affine import Affine
from unfold.core.bounds import at_reader, bounds_of, implies, is_covered
from unfold.core.dependence import Block, Loop
from unfold.core.letters import letter, letters
from unfold.core.op import Kind, View
from unfold.core.paths import uses
from unfold.core.plan import Dim
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.target import Target
from unfold.planning.rows import rows


class Form(Enum):
    """What an equation becomes."""

    HOST = "given"
    POINTWISE = "pointwise"
    PIECES = "pieces"
    REDUCE = "reduction"
    GEMM = "product"
    KERNEL = "kernel"


@dataclass(frozen=True)
class Product:
    """The dimensions of an einsum of two operands, by class; roles are positions of operands."""

    a: int
    b: int
    m: tuple[Dim, ...]
    n: tuple[Dim, ...]
    k: tuple[Dim, ...]
    outer: tuple[Dim, ...]


@dataclass
class Forms:
    """The decisions.

    Attributes:
        program: decomposed.
        target: the machine.
        paths: the loops around each value, outermost first.
        rows: the axis that is innermost in memory, of values that have one.
        form: of each value.
        products: of values whose form is GEMM.
        slow: why a product of numbers that are all there is no GEMM, by value.
        stored: values that have buffers.
        zero: values whose buffers hold zeros where the equation has no points.
    """

    program: Program
    target: Target
    paths: Mapping[str, tuple[Loop, ...]]
    rows: Mapping[str, str]
    form: dict[str, Form] = field(default_factory=dict[str, Form])
    products: dict[str, Product] = field(default_factory=dict[str, Product])
    slow: dict[str, str] = field(default_factory=dict[str, str])
    stored: set[str] = field(default_factory=set[str])
    zero: set[str] = field(default_factory=set[str])


def decide(
    program: Program, blocks: tuple[Block, ...], results: Iterable[str], target: Target
) -> Forms:
    """Return what each equation becomes.

    Args:
        program: decomposed.
        blocks: its order.
        results: values that are asked for.
        target: the machine.
    """
    paths = dict(_paths(blocks, ()))
    forms = Forms(program, target, paths, rows(program, paths))
    for value in program:
        forms.form[value.name] = _form(forms, value)
    forms.zero = _zero(forms, set(results))
    forms.stored = _required(forms, set(results)) | forms.zero
    size: dict[str, int] = {}
    for name in _in_order(blocks):
        value = program[name]
        if name not in forms.stored:
            below = [size.get(r.value, 1) for r in value.operands if r.value not in forms.stored]
            size[name] = 1 + sum(below)
            if _worth_keeping(forms, value, size[name]):
                forms.stored.add(name)
    return forms


def _zero(forms: Forms, results: set[str]) -> set[str]:
    """Return the values that somebody reads where they have no points.

    A product is computed for the box of its axes. So that it sums nothing beyond its bounds, or is
    itself zero there, one operand has to be; where none is, it becomes loops that stop in time.
    """
    bounded, read = [v for v in forms.program if bounds_of(v)], uses(forms.program)
    found = {
        v.name
        for v in bounded
        if v.name in results or not all(is_covered(r, ref, v) for r, ref in read[v.name])
    }
    products = [n for n in forms.products if forms.program[n].within]
    while products:
        size = len(found)
        for name in products:
            _zero_operands(forms, forms.program[name], found)
        products = [n for n in products if n in forms.products]
        if len(found) == size:
            break
    return found


def _zero_operands(forms: Forms, value: Value, zero: set[str]) -> None:
    """Note which operands of a product have to be zero, or make it no product."""
    wanted = [f for f in value.within if value.name in zero or not set(f.axes) <= set(value.axes)]
    if not wanted:
        return
    sources = [(forms.program[r.value], r) for r in value.operands]
    if not any(all(implies(at_reader(s, r), f) for f in wanted) for s, r in sources):
        del forms.products[value.name]
        forms.form[value.name] = Form.REDUCE
        forms.slow[value.name] = "its operands reach beyond its bounds"
        return
    zero |= {s.name for s, _ in sources if bounds_of(s)}


def _paths(
    blocks: tuple[Block, ...], path: tuple[Loop, ...]
) -> Iterable[tuple[str, tuple[Loop, ...]]]:
    for block in blocks:
        if isinstance(block, Loop):
            yield from _paths(block.body, (*path, block))
        else:
            yield block.name, path


def _in_order(blocks: tuple[Block, ...]) -> Iterable[str]:
    for block in blocks:
        if isinstance(block, Loop):
            yield from _in_order(block.body)
        else:
            yield block.name


def _form(forms: Forms, value: Value) -> Form:
    if value.row.from_host:
        return Form.HOST
    if value.row.kind is Kind.REDUCE:
        return Form.REDUCE
    if value.row.kind is Kind.KERNEL:
        return Form.KERNEL
    if value.row.view is View.PIECES:
        return Form.PIECES
    if value.row.view is View.RESHAPE:
        source = forms.program[value.operands[0].value].type.shape
        kept = [[int(n) for n in s if int(n) != 1] for s in (source, value.type.shape)]
        return Form.POINTWISE if kept[0] == kept[1] else Form.PIECES
    if value.is_contraction:
        return _einsum(forms, value)
    return Form.POINTWISE


def _einsum(forms: Forms, value: Value) -> Form:
    own, result = letters(value)
    kinds = [forms.program[r.value].type.kind for r in value.operands]
    decided = {o for o, k in zip(own, kinds, strict=True) if k == "category"}
    summed = {c for o in own for c in o if c not in result} - decided
    if not summed and not value.reduced:
        return Form.POINTWISE
    if decided or len(own) != 2:
        return Form.REDUCE
    product = classify(forms, value)
    if isinstance(product, str):
        forms.slow[value.name] = product
        return Form.REDUCE
    forms.products[value.name] = product
    return Form.GEMM


def classify(forms: Forms, value: Value) -> Product | str:
    """Return the classes of the dimensions of a product, or why it is not worth a GEMM."""
    own, result = letters(value)
    looped = {loop.axis for loop in forms.paths[value.name]}
    sizes: dict[str, int] = {}
    for ref, names in zip(value.operands, own, strict=True):
        sizes.update(zip(names, map(int, forms.program[ref.value].type.shape), strict=True))
    inside = [
        {*ref.axes, *map(letter, names)} for ref, names in zip(value.operands, own, strict=True)
    ]
    produced = {*value.axes, *map(letter, result)}
    if any(looped & set(f.axes) and set(f.axes) & set(value.reduced) for f in value.within):
        return "it sums as far as the loop has come"
    dims = [Dim(a) for a in value.iteration if a not in looped and a != BATCH]
    dims += [Dim(BATCH)] * (BATCH in value.iteration)
    dims += [Dim(letter(c), sizes[c]) for c in dict.fromkeys("".join(own))]
    last = next((c for c in reversed(result) if sizes[c] > 1), result[-1:])
    columns = forms.rows.get(value.name) or letter(last)
    if not last and value.name not in forms.rows:
        return "the result is a single number at each point"
    if (columns in inside[0]) == (columns in inside[1]):
        return "both operands have the features of the result"
    b = 0 if columns in inside[0] else 1
    a = 1 - b
    if "".join(c for c in result if c in own[b] and c not in own[a]) not in own[b]:
        return "the features of the result are apart in memory"
    classes: dict[str, list[Dim]] = {"m": [], "n": [], "k": [], "outer": []}
    for dim in dims:
        here = (dim.name in inside[a], dim.name in inside[b], dim.name in produced)
        name = _CLASSES.get(here)
        if name is None:
            return f"only one of the operands is summed over {dim.name.removeprefix('#')}"
        classes[name].append(dim)
    found = Product(a, b, *(tuple(classes[c]) for c in ("m", "n", "k", "outer")))
    if not found.k:
        return "nothing that both operands have is summed over"
    one_row = not found.m and all(d.size is None for d in found.k)
    if one_row and not forms.target.matrix_vector:
        return (
            "each sum has vectors of its own, which no other sum uses"
            if all(own)
            else "a sum of multiples of vectors, each sequence with its own"
        )
    if not found.n or found.n[-1].name != columns:
        return "the features of the result are in another order than those of the operand"
    return found


_CLASSES = {
    (True, False, True): "m",
    (False, True, True): "n",
    (True, True, False): "k",
    (True, True, True): "outer",
}


def _required(forms: Forms, results: set[str]) -> set[str]:
    """Return the values that must have buffers."""
    stored: set[str] = set()
    for value in forms.program:
        form = forms.form[value.name]
        wanted = form is not Form.POINTWISE or value.name in results
        read = uses(forms.program)[value.name]
        if wanted or any(_needs_buffer(forms, value, *use) for use in read):
            stored.add(value.name)
    return stored


def _needs_buffer(forms: Forms, value: Value, reader: Value, ref: Ref) -> bool:
    if any(i != Affine.axis(a) for a, i in zip(value.axes, ref.index, strict=True)):
        return True
    if forms.form[reader.name] in (Form.GEMM, Form.KERNEL):
        return True
    if reader.row.view in (View.RESHAPE, View.WINDOWS):
        return True
    # What is compared with its maximum must be the same to the last bit, as it is in a view.
    if reader.op == "equal" and value.row.view is not View.WINDOWS:
        return any(_is_largest(forms.program, r.value) for r in reader.operands)
    if not reader.is_contraction:
        return False
    own, _ = letters(reader)
    kinds = [forms.program[r.value].type.kind for r in reader.operands]
    decided = {o for o, k in zip(own, kinds, strict=True) if k == "category"}
    return any(
        r == ref and (k == "category" or decided & set(o))
        for r, o, k in zip(reader.operands, own, kinds, strict=True)
    )


def _is_largest(program: Program, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a value is a maximum, or one in another shape or behind a mask."""
    value = program[name]
    if (value.row.chooses or value.row.view in (View.RESHAPE, View.COPY)) and name not in seen:
        return any(_is_largest(program, r.value, seen | {name}) for r in value.operands)
    return value.reduction is not None and value.row.selects


def _worth_keeping(forms: Forms, value: Value, size: int) -> bool:
    readers = uses(forms.program)[value.name]
    if not value.operands or not readers:
        return False
    paths = {_path(forms, value, r) for r, _ in readers}
    if not value.row.costly:
        target = forms.target
        most = target.recomputed_apart if len(paths) > 1 else target.recomputed
        return len(readers) > 1 and size > most
    looped = {loop.axis for loop in forms.paths[value.name]}
    wider = any(set(r.iteration) - set(value.iteration) - looped for r, _ in readers)
    reduced = any(forms.form[r.name] is not Form.POINTWISE for r, _ in readers) and len(readers) > 1
    return paths != {forms.paths[value.name]} or wider or reduced


def _path(forms: Forms, value: Value, reader: Value) -> tuple[Loop, ...]:
    """Return the loops that a reader will be in: a fused reduction is where its operand is made."""
    own, other = forms.paths[value.name], forms.paths[reader.name]
    reduces = forms.form[reader.name] is Form.REDUCE and other == own[: len(other)]
    return own if reduces and forms.target.fuses else other
