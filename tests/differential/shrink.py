"""Make a failing case smaller as long as it fails in the same way.

    shrink(case, fails=lambda sample: check(sample, "numba").label == label, seconds=120)

Greedy: each way to take something away is tried, the ones that take away most first, and what still
fails is gone on with, until nothing can go or the time is up. What does not load is not tried.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import unfold
from tests.differential.case import Case, Equation, Piece, Run, Sample
from unfold.errors import UnfoldError

T = TypeVar("T")


def shrink(case: Case, fails: Callable[[Sample], bool], *, seconds: float = 120.0) -> Case:
    """Return a smaller case that still fails.

    Args:
        case: one that fails.
        fails: whether a sample fails in the same way.
        seconds: when to stop.
    """
    until = time.monotonic() + seconds
    going = True
    while going and time.monotonic() < until:
        going = False
        for candidate in _smaller(case):
            if time.monotonic() > until:
                break
            if candidate != case and _loads(candidate.text) and fails(candidate.sample):
                case, going = candidate, True
                break
    return case


def _loads(text: str) -> bool:
    try:
        unfold.loads(text)
    except UnfoldError:
        return False
    except Exception:
        return True  # what breaks the language may be what is looked for
    return True


def _smaller(case: Case) -> Iterator[Case]:
    yield _tidy(case)
    for equation in case.equations:
        yield _tidy(_without(case, equation))
    for i in range(len(case.loss)):
        yield _tidy(replace(case, loss=_dropped(case.loss, i)))
    yield from (replace(case, run=r) for r in _easier(case.run))
    if case.stop:
        yield replace(case, stop="")
    for name in case.initial:
        yield _tidy(replace(case, initial=_lost(case.initial, name)))
    for i, equation in enumerate(case.equations):
        if equation.options:
            yield _with(case, i, replace(equation, options={}))
    for i, equation in enumerate(case.equations):
        for piece in equation.piece.smaller():
            yield _tidy(_with(case, i, replace(equation, piece=piece)))
    for name, initial in case.initial.items():
        for piece in initial.smaller():
            yield _tidy(replace(case, initial={**case.initial, name: piece}))
    for i, term in enumerate(case.loss):
        for piece in term.smaller():
            yield _tidy(replace(case, loss=(*case.loss[:i], piece, *case.loss[i + 1 :])))
    for name, text in case.sizes.items():
        for size in ("1", "2", "3") if text.isdigit() else ():
            if int(size) < int(text):
                yield replace(case, sizes={**case.sizes, name: size})
    for name, text in case.axes.items():
        if text.isdigit() and int(text) > 1:
            yield replace(case, axes={**case.axes, name: str(int(text) - 1)})


def _easier(run: Run) -> Iterator[Run]:
    """Return simpler ways to run a case."""
    default = Run()
    for name in ("chunks", "mode", "missing", "lengths", "garbage", "spoiled", "spare", "training"):
        easy = False if name == "training" else getattr(default, name)
        if getattr(run, name) != easy:
            yield replace(run, **{name: easy})
    for batch in (1, 2, run.batch // 2, run.batch - 1):
        if 0 < batch < run.batch:
            yield replace(run, batch=batch, lengths={a: n[:batch] for a, n in run.lengths.items()})
    for axis, extent in run.extents.items():
        for smaller in (1, 2, 3, extent - 1):
            if 0 < smaller < extent:
                lengths = dict(run.lengths)
                if axis in lengths:
                    lengths[axis] = [min(n, smaller) for n in lengths[axis]]
                yield replace(run, extents={**run.extents, axis: smaller}, lengths=lengths)


def _names(equation: Equation) -> list[str]:
    return re.findall(r"(\w+)(?:\[|$|,)", re.sub(r"\[[^\]]*\]", "[", equation.target))


def _without(case: Case, equation: Equation) -> Case:
    """Drop an equation and all that reads it."""
    lost = set(_names(equation))
    while True:
        more = {
            n for e in case.equations for n in _names(e) if _reads(e.piece, lost) or n in lost
        } | lost
        if more == lost:
            break
        lost = more
    return replace(
        case,
        equations=tuple(e for e in case.equations if not lost & set(_names(e))),
        loss=tuple(p for p in case.loss if not _reads(p, lost)),
        initial={
            n: p
            for n, p in case.initial.items()
            if re.split(r"[.\[]", n)[0] not in lost and not _reads(p, lost)
        },
        stop="" if _mentions(case.stop, lost) else case.stop,
    )


def _reads(piece: Piece, names: set[str]) -> bool:
    return _mentions(piece.text, names)


def _mentions(text: str, names: set[str]) -> bool:
    return any(word in names for word in re.findall(r"\w+", text))


def _tidy(case: Case) -> Case:
    """Drop parameters, inputs, axes and sizes that nothing mentions."""
    pieces = [*(e.piece.text for e in case.equations), *(p.text for p in case.loss), case.stop]
    pieces += [*(e.target for e in case.equations), *case.initial]
    pieces += [*(p.text for p in case.initial.values())]
    pieces += [t for e in case.equations for t in e.options.values()]
    used = {word for text in pieces for word in re.findall(r"\w+", text)}
    inputs = {n: t for n, t in case.inputs.items() if n.partition("[")[0] in used}
    parameters = {n: t for n, t in case.parameters.items() if n.partition("[")[0] in used}
    declared = [*inputs, *inputs.values(), *parameters, *parameters.values()]
    used |= {word for text in declared for word in re.findall(r"\w+", text)}
    initial = {n: p for n, p in case.initial.items() if re.split(r"[.\[]", n)[0] in used}
    sizes = _needed(case.sizes, used)
    axes = _needed(case.axes, used) or {"t": case.axes.get("t", "6")}
    return replace(
        case, inputs=inputs, parameters=parameters, initial=initial, sizes=sizes, axes=axes
    )


def _needed(entries: Mapping[str, str], used: set[str]) -> dict[str, str]:
    """Return the entries that are used, and what those that are kept need."""
    kept: dict[str, str] = {}
    words = set(used)
    for name, text in reversed(list(entries.items())):
        if name in words:
            kept[name] = text
            words |= set(re.findall(r"\w+", text))
    return {n: t for n, t in entries.items() if n in kept}


def _with(case: Case, i: int, equation: Equation) -> Case:
    return replace(case, equations=(*case.equations[:i], equation, *case.equations[i + 1 :]))


def _dropped(items: tuple[T, ...], i: int) -> tuple[T, ...]:
    return (*items[:i], *items[i + 1 :])


def _lost(items: Mapping[str, T], name: str) -> dict[str, T]:
    return {n: p for n, p in items.items() if n != name}
