"""Random cases: one spec and one run for every pair of a seed and a number.

    generate(seed=0, number=17).text      the same text on every machine

A spec grows in `groups` of equations; `sections` adds what is not an equation: initial values, the
loss, how it stops, and how it is run.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import unfold
from tests.differential.case import Case, Piece, Run
from tests.differential.draft import Axis, Draft, Shape, Source
from tests.differential.groups import Groups
from tests.differential.sections import initial, loss, run, stop
from unfold.core.dependence import Loop, order
from unfold.errors import SpecError

OUTSIDE = re.compile(r"is read outside the domain of ([\w.]+),")
MOST_OUTSIDE = 8
MOST_STEPS = 200  # of an axis with a cycle
DERIVED = ("t // 2 + 1", "(t + 1) // 2", "t + 2", "2 * t", "2 * t + 1", "t // 3 + 1")


def generate(seed: int, number: int) -> Case:
    """Return a case.

    Args:
        seed: of a series of cases.
        number: of the case in the series.
    """
    draft = Draft(Random(f"{seed}:{number}"))
    tags = _axes(draft)
    declared = _inputs(draft)
    groups = Groups(draft)
    for _ in range(draft.weigh({1: 3.0, 2: 4.0, 3: 3.0, 4: 1.5, 5: 0.7})):
        groups.add()
    written = groups.written
    initials = initial(groups.writer, written)
    terms = loss(groups.writer, written)
    way = run(draft, written)
    rule = stop(groups.writer, written) if way.mode == "free" else ""
    made = Case(
        axes={a.name: a.text for a in draft.axes.values()},
        sizes=draft.sizes,
        inputs=declared,
        parameters=draft.declared,
        equations=tuple(written.equations),
        initial=initials,
        loss=terms,
        stop=rule,
        run=replace(way, data=number),
        tags=(*tags, *written.tags, *_run_tags(way, rule)),
    )
    return _settled(made)


def _settled(case: Case) -> Case:
    """Say that zeros are meant where the loss reads data outside of their domain; bound the steps.

    The reference computes what stands in a cycle step by step, so that long axes take minutes.
    """
    for _ in range(MOST_OUTSIDE):
        try:
            program = unfold.loads(case.text).program
        except SpecError as error:
            found = [OUTSIDE.search(d.message) for d in error.diagnostics]
            zeros = {m[1]: Piece("zeros") for m in found if m and m[1] not in case.initial}
            if not zeros:
                break
            case = replace(case, initial={**case.initial, **zeros})
        else:
            long = case.run.alike and any(isinstance(b, Loop) for b in order(program))
            return _shorter(case) if long else case
    return case


def _shorter(case: Case) -> Case:
    extents = {axis: min(n, MOST_STEPS) for axis, n in case.run.extents.items()}
    return replace(case, run=replace(case.run, extents=extents))


def _axes(d: Draft) -> list[str]:
    d.axes["t"] = Axis("t", "6", "t")
    kinds = {"s": 2.5, "l": 2.0, "k": 2.0, "u": 1.0, "r": 1.5, "v": 0.5}
    for _ in range(d.weigh({0: 1.5, 1: 3.0, 2: 3.0, 3: 0.5})):
        name = d.weigh({n: w for n, w in kinds.items() if n not in d.axes})
        if name in "lk":
            d.axes[name] = Axis(name, str(d.rng.randint(1 + (name == "l"), 4)), name, "fixed")
        elif name == "r":
            d.axes[name] = Axis(name, "t", "t", "same")
        elif name == "s":
            d.axes[name] = Axis(name, "4", name)
        else:
            both = name == "v" and "s" in d.axes
            text = "t + s - 1" if both else d.pick(DERIVED)
            d.axes[name] = Axis(name, text, name, "derived")
    tags = [f"axis {a.origin}" for a in d.axes.values()]
    return [*tags, f"{len(d.axes)} axes" if len(d.axes) > 1 else "1 axis"]


def _inputs(d: Draft) -> dict[str, str]:
    """Declare inputs; the first one is real, over t."""
    axes: list[tuple[str, ...]] = [
        ("t",),
        *((a,) for a in d.axes if d.axes[a].origin == "data" and a != "t"),
    ]
    for _ in range(d.weigh({0: 3.0, 1: 4.0, 2: 2.0})):
        other = [d.pick(list(d.axes))] if d.chance(0.3) else []
        axes.append(d.pick([("t",), ("t",), (), tuple(dict.fromkeys(["t", *other]))]))
    found: dict[str, str] = {}
    classes = len(axes) if d.chance(0.35) else None
    axes += [("t",)] if classes is not None else []
    for axis in {a for own in axes for a in own if d.axes[a].window}:
        d.axes[axis] = replace(d.axes[axis], origin="data")  # now the data decide its extent
    for i, own in enumerate(axes):
        kind = d.weigh({"vector": 5.0, "number": 1.0, "matrix": 1.0, "category": 3.0 * (i > 0)})
        kind = "category" if i == classes else kind
        shape: Shape = {"number": (), "matrix": (d.size(), d.size())}.get(kind, (d.size(),))
        real = kind != "category"
        name = d.name("x" if real else "c")
        target = f"{name}[{', '.join(own)}]" if own else name
        found[target] = f"[{', '.join(shape)}]" if real else f"{{category: {shape[0]}}}"
        bound = 2.5 if real else 1.0
        d.values.append(Source(name, own, shape, "real" if real else "category", bound))
    return found


def _run_tags(way: Run, rule: str) -> list[str]:
    tags = [f"mode {way.mode if isinstance(way.mode, str) else way.mode[0]}"]
    tags += ["unequal lengths"] if way.lengths else ["equal lengths"]
    tags += ["chunks"] if way.chunks > 1 else []
    tags += ["stop"] if rule else []
    tags += ["NaN in the padding"] if way.garbage and way.lengths else []
    tags += ["NaN or infinity"] if way.spoiled else []
    tags += ["long axis"] if way.alike else []
    return [*tags, "training" if way.training else "not training"]
