"""Join products that share an operand, as a vendor's library packs the gates of an LSTM.

    i = W_i @ h[t-1] + …                       W = concat(W_i, W_f, …)
    f = W_f @ h[t-1] + …           becomes     z = W @ h[t-1]
    …                                          i = z[0:n] + …, f = z[n:2n] + …

and, in the adjoint, what the gates send back to h and to their matrices:

    W_i' @ di + W_f' @ df + …      becomes     W' @ concat(di, df, …)
    dW_i = sum di ⊗ h, …           becomes     dW = sum concat(di, df, …) ⊗ h, dW_i = dW[0:n]

Nothing else changes: the joined values are ordinary ones, and names and meaning stay.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from unfold.core.bounds import bounds_of
from unfold.core.build import Builder, Term
from unfold.core.letters import letters, written
from unfold.core.origin import Joined
from unfold.core.paths import is_used_once
from unfold.core.program import Program, Ref, Value
from unfold.passes.simplify import drop_dead


def pack(program: Program) -> Program:
    """Return the Program with joined products.

    Args:
        program: decomposed.
    """
    for join in (_share_vector, _add_up, _share_right):
        program = drop_dead(join(program))
    return program


def _groups(
    program: Program, key: Callable[[Program, Value], Hashable | None]
) -> list[list[Value]]:
    found: dict[Hashable, list[Value]] = {}
    for value in program:
        own = key(program, value) if value.is_contraction and len(value.operands) == 2 else None
        if own is not None:
            found.setdefault(own, []).append(value)
    return [g for g in found.values() if len(g) > 1]


def _is_matrix(program: Program, ref: Ref) -> bool:
    value = program[ref.value]
    return value.is_parameter and ref == value.here and len(value.type.shape) == 2


def _joined(builder: Builder, values: Sequence[Ref]) -> Term:
    """Return the concatenation of some values; equal ones are made once."""
    origin = Joined(tuple(r.value for r in values))
    if origin.name in builder.values:
        return builder.term(origin.name)
    terms = [builder.read(r) for r in values]
    builder.origin, builder.within = origin, ()
    return builder.emit("concat", terms, origin=origin)


def _sliced(builder: Builder, whole: Term, members: Sequence[Value]) -> None:
    """Let each member be its rows of a joined result."""
    start = 0
    for member in members:
        stop = start + int(member.type.shape[0])
        attributes = {"start": start, "stop": stop, "dim": member.type.shape[0]}
        changed = replace(
            member,
            op="slice",
            operands=(whole.ref,),
            attributes=attributes,
            reduced=(),
            within=bounds_of(member),
        )
        builder.values[member.name] = changed
        start = stop


def _vector_key(program: Program, value: Value) -> Hashable | None:
    """Matrices times one vector: what they share is the vector, where it is read, and the axes."""
    own, result = letters(value)
    matrix, vector = value.operands
    plain = not value.reduced and own[0] == result + own[1] and len(result) == 1
    real = program[vector.value].type.kind == "real"
    if not plain or not real or not _is_matrix(program, matrix):
        return None
    return vector, value.axes, program[matrix.value].axes, value.within


def _share_vector(program: Program) -> Program:
    builder = Builder.of(program)
    for members in _groups(program, _vector_key):
        joined = _joined(builder, [m.operands[0] for m in members])
        builder.about(members[0])
        vector = builder.read(members[0].operands[1])
        whole = builder.emit("einsum", (joined, vector), {"equation": "ij,j->i"})
        _sliced(builder, _aligned(builder, whole, members[0]), members)
    return builder.build(program)


def _aligned(builder: Builder, term: Term, member: Value) -> Term:
    """Keep the axes of the members, in their order."""
    value = replace(builder.values[term.ref.value], axes=member.axes)
    builder.values[value.name] = value
    return builder.term(value.name)


def _right_key(program: Program, value: Value) -> Hashable | None:
    """Outer products added up over the same points with the same right operand."""
    own, result = letters(value)
    left, right = value.operands
    kinds = {program[r.value].type.kind for r in value.operands}
    if not value.reduced or kinds != {"real"} or result != own[0] + own[1]:
        return None
    if len(own[0]) != 1 or left != program[left.value].here:
        return None
    return right, value.reduced, value.axes, program[left.value].axes, value.within


def _share_right(program: Program) -> Program:
    builder = Builder.of(program)
    for members in _groups(program, _right_key):
        joined = _joined(builder, [m.operands[0] for m in members])
        builder.about(members[0])
        right = builder.read(members[0].operands[1])
        own, result = letters(members[0])
        whole = builder.emit(
            "einsum",
            (joined, right),
            {"equation": written(own, result)},
            reduced=members[0].reduced,
        )
        _sliced(builder, _aligned(builder, whole, members[0]), members)
    return builder.build(program)


def _transposed_key(program: Program, value: Value) -> Hashable | None:
    """A vector times a matrix, as the adjoint of a matrix times a vector is."""
    own, result = letters(value)
    vector, matrix = value.operands
    plain = not value.reduced and own[1] == own[0] + result and len(result) == 1
    if not plain or not _is_matrix(program, matrix) or program[vector.value].type.kind != "real":
        return None
    here = vector == program[vector.value].here
    return (value.axes, program[matrix.value].axes, value.within) if here else None


def _add_up(program: Program) -> Program:
    """Join products that are added up, each read once and at the same point."""
    builder = Builder.of(program)
    inner = {
        r.value
        for v in program
        if v.op == "add"
        for r in v.operands
        if program[r.value].op == "add"
        and is_used_once(program, r.value)
        and r == program[r.value].here
    }
    for value in program:
        if value.op == "add" and value.name not in inner:
            _join_summands(builder, program, value, inner)
    return builder.build(program)


def _join_summands(builder: Builder, program: Program, value: Value, inner: set[str]) -> None:
    summands = list(_summands(program, value, inner))
    groups: dict[Hashable, list[Ref]] = {}
    for ref in summands:
        source = program[ref.value]
        key = (
            _transposed_key(program, source)
            if source.is_contraction and len(source.operands) == 2
            else None
        )
        if key is not None:
            groups.setdefault((key, ref.index), []).append(ref)
    chosen = [g for g in groups.values() if len(g) > 1]
    if not chosen:
        return
    builder.about(value)
    terms: list[Term] = []
    for refs in chosen:
        members = [program[r.value] for r in refs]
        vectors = _joined(builder, [m.operands[0] for m in members])
        matrices = _joined(builder, [m.operands[1] for m in members])
        builder.about(members[0])
        product = builder.emit("einsum", (vectors, matrices), {"equation": "i,ij->j"})
        product = _aligned(builder, product, members[0])
        terms.append(builder.read(Ref(product.ref.value, refs[0].index)))
    joined = {r for refs in chosen for r in refs}
    terms += [builder.read(r) for r in summands if r not in joined]
    builder.about(value)
    if len(terms) == 1:
        changed = replace(value, op="identity", operands=(terms[0].ref,))
    else:
        total = builder.total(terms[:-1])
        changed = replace(value, operands=(total.ref, terms[-1].ref))
    builder.values[value.name] = changed


def _summands(program: Program, value: Value, inner: set[str]) -> list[Ref]:
    found: list[Ref] = []
    for ref in value.operands:
        source = program[ref.value]
        same = set(source.axes) == set(value.axes) and source.type == value.type
        if ref.value in inner and same:
            found += _summands(program, source, inner)
        else:
            found.append(ref)
    return found
