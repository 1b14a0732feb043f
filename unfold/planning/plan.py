"""Make the Plan of a Program: decide, schedule, pack, place.

In: a Program of one mode, without boundaries and feedback, and a Target. Out: a Plan
(`unfold.core.plan`), which says for every equation where it is computed; `unfold.explain.describe`
says it in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unfold.core.dependence import order
from unfold.core.op import Source
from unfold.core.origin import LastIndex
from unfold.core.paths import descendants, readers
from unfold.core.plan import Buffer, Pack, Plan, Stored
from unfold.core.program import BATCH, Program, Value
from unfold.core.target import Target
from unfold.passes.lowering import lower, to_plan
from unfold.passes.reach import Reach
from unfold.planning.forms import Forms, decide
from unfold.planning.independence import marked
from unfold.planning.panels import packed
from unfold.planning.schedule import Schedule
from unfold.planning.storage import buffers, fills
from unfold.planning.works import Works


def plan(
    program: Program,
    target: Target,
    varying: Iterable[str] = (),
    extents: Mapping[str, int] | None = None,
) -> Plan:
    """Return the Plan of a Program.

    Args:
        program: lowered for a backend; see `unfold.passes.lowering`.
        target: the machine that it is for.
        varying: axes whose length differs per sequence (their masks are in the Program).
        extents: of axes, which decide which reads are checked; default: none reaches far.
    """
    loss = (program.loss,) if program.loss else ()
    results = tuple(dict.fromkeys((*program.outputs, *loss)))
    reach = Reach.of(program, varying, extents or {})
    ready = lower(program, to_plan(reach))
    blocks = order(ready)
    forms = decide(ready, blocks, results, target)
    works = Works(forms, reach)
    late, parallel = _late(ready, forms)
    early = {v.name for v in ready} - late
    first = Schedule(works).statements(blocks, early)
    second = Schedule(works).statements(blocks, late)
    if target.panels:
        made: dict[object, Pack] = {}
        first, second = packed(first, forms, made), packed(second, forms, made)
    packs = {s.name: s for s in first + second if isinstance(s, Pack)}
    kept = buffers(forms, first + second, set(results) | _crossing(ready, early, late))
    for axis in sorted(reach.varying):
        kept[LastIndex(axis).name] = _lengths(LastIndex(axis))
    first, second = (marked(fills(s, kept), kept) for s in (first, second))
    partial = {n: k for n, k in _partial(ready, early).items() if n in kept} if parallel else {}
    return Plan(
        ready,
        kept,
        packs,
        first + second,
        results,
        late=len(second),
        parallel=parallel,
        partial=partial,
        slow=forms.slow,
    )


def _lengths(origin: LastIndex) -> Buffer:
    return Buffer(origin.name, (Stored(BATCH),), (), "host", origin=origin)


def _late(program: Program, forms: Forms) -> tuple[set[str], bool]:
    """Return the values that need a reduction over the batch, and whether shards can run alone.

    Shards cannot where a value that differs per sequence needs such a reduction.
    """
    added = [v.name for v in program if _adds_up(v)]
    late = descendants(program, (reader for n in added for reader in readers(program)[n]))
    mixed = any(BATCH in program[n].iteration for n in late)
    return (set[str](), False) if mixed else (late, True)


def _adds_up(value: Value) -> bool:
    """Whether a value needs all sequences; how many there are is known before."""
    return BATCH in value.reduced and value.source is not Source.COUNT


def _partial(program: Program, early: set[str]) -> dict[str, str]:
    """Return how shards combine each reduction over the batch."""
    return {
        v.name: v.row.reduces.name
        for v in program
        if _adds_up(v) and v.row.reduces and v.name in early
    }


def _crossing(program: Program, early: set[str], late: set[str]) -> set[str]:
    return {r.value for n in late for r in program[n].operands if r.value in early}
