"""Turn an equation whose operator has a kernel of its own into a `Call` of the Plan.

    loss = ctc[t,u](log_probs[t], y[u], frames, labels)      one call for each sequence

The kernel runs over the axes that the equation binds, and over the one that it writes whole; the
call says where the first points are.
"""

from __future__ import annotations

from unfold.core.plan import Access, Call, Dim, Kernel
from unfold.core.program import BATCH, Ref, Value
from unfold.planning.expressions import Feature
from unfold.planning.works import Works


def call(works: Works, value: Value) -> Call:
    """Return the call of a kernel.

    Args:
        works: of the Plan.
        value: the equation; its operands are kept, and read at plain strides.
    """
    program, expressions = works.program, works.expressions(Kernel(None))
    looped = {loop.axis for loop in works.forms.paths[value.name]}
    batched = BATCH in value.iteration

    def first(of: Value, ref: Ref) -> Access:
        index = dict(zip(of.axes, ref.index, strict=True))
        return expressions.access(of, index, (Feature(),) * len(of.type.stored), batched=batched)

    own = [a for a in works.order if a in value.axes and a not in looped and a != value.along]
    return Call(
        value.name,
        value.op,
        tuple(map(Dim, own)),
        tuple(first(program[r.value], r) for r in value.operands),
        tuple(next((a for a in value.reduced if a in r.axes), None) for r in value.operands),
        first(value, value.here),
        value.along,
        tuple(n for n in value.attributes.values() if isinstance(n, int)),
    )
