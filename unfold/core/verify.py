"""`verify`: what must hold of every Program, checked after every pass.

Violations are our own bugs, so they are assertions with the values; only an illegal cycle, which a
spec can contain, is a `CycleError`.
"""

from __future__ import annotations

from unfold.core.affine import Affine
from unfold.core.dependence import order
from unfold.core.op import OPS, Kind, OpError
from unfold.core.program import BATCH, Program, Ref, Value

# The ops that know what to do with axes that an equation binds.


def verify(program: Program) -> Program:
    """Check a Program and return it.

    Raises:
        CycleError: some equations cannot be ordered.
    """
    for name, value in program.values.items():
        assert name == value.name == value.origin.name, (name, value.name, value.origin)
        assert value.op in OPS, (name, value.op)
        assert OPS[value.op].kind is not Kind.COMPOSITE, (name, value.op)
        assert set(value.iteration) <= set(program.axes), (name, value.axes, value.reduced)
        assert len(set(value.iteration)) == len(value.iteration), (name, value.axes, value.reduced)
        assert BATCH not in value.axes[1:], (name, value.axes)
        assert not value.reduced or value.row.binds, (name, value.op, value.reduced)
        assert all(set(f.axes) <= set(value.iteration) for f in value.within), (name, value.within)
        assert value.along is None or value.along in value.axes, (name, value.along)
        for ref in value.operands:
            _verify_ref(program, value, ref, allowed=value.iteration)
        for axis, ref in value.boundary.items():
            assert axis in value.axes and axis != BATCH, (name, axis)
            _verify_ref(program, value, ref, allowed=value.axes)
            assert program[ref.value].type == value.type, (name, ref.value, program[ref.value].type)
        _verify_type(program, value)
        assert not any(f.parts for f in value.within), (name, value.within)
    assert all(n in program.values for n in program.outputs), program.outputs
    assert program.loss is None or program.loss in program.values, program.loss
    order(program)
    return program


def _verify_ref(program: Program, value: Value, ref: Ref, *, allowed: tuple[str, ...]) -> None:
    assert ref.value in program.values, (value.name, ref)
    source = program[ref.value]
    assert len(ref.index) == len(source.axes), (value.name, ref, source.axes)
    assert set(ref.axes) <= set(allowed), (value.name, ref, allowed)
    if source.batched:
        assert ref.index[0] == Affine.axis(BATCH), (value.name, ref)


def _verify_type(program: Program, value: Value) -> None:
    op = OPS[value.op]
    if op.kind is Kind.SOURCE:
        return
    types = [program[r.value].type for r in value.operands]
    for i, t in enumerate(types):
        assert t.kind != "category" or i in op.categories, (value.name, value.op, i, t)
    try:
        inferred = op.infer(types, value.attributes)
    except OpError as error:
        raise AssertionError(value.name, value.op, types, error.message) from error
    assert inferred == value.type, (value.name, value.op, inferred, value.type)
