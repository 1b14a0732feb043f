"""`unfold run --profile`: where the time of a run goes, phase by phase and block by block.

    where the time went  12.43 s, 600 steps
    model, compiled code             10.12 s   81.4 %
    model, Python around it           0.49 s    3.9 %
    first runs: compiling             0.93 s    7.5 %
    data                              0.08 s    0.6 %
    ...

It is the run itself that is measured: the model and the source of batches stand behind a stopwatch,
and the clock is read between compiled blocks. The blocks are those of `unfold explain --plan`,
under the same numbers and names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unfold.core.origin import Adjoint
from unfold.files import write_whole
from unfold.terminal.plan_text import (
    BOLD,
    Column,
    StyledLine,
    echo_lines,
    line,
    statement_lines,
    summary_lines,
    terminal_width,
)
from unfold.terminal.report import plural

if TYPE_CHECKING:
    from unfold.backends.profiles import Profile
    from unfold.backends.protocol import Clock
    from unfold.explain.describe import Description
    from unfold.terminal.task import Task

MODEL, DATA = "model", "data"
LOADING, DRAWING, SAVING = "loading the spec and its data", "pictures", "checkpoints"
FIRST, REST = "first runs: compiling", "everything else: updates, metrics, the loop"
LONG_ENOUGH, MOST_STEPS = 1.0, 1000  # seconds and steps of a run that has no data
USUAL = 8  # extents of which costs are counted
FACTS = ("dtype", "runs", "threads", "first", "total", "waited")
LEAST = 0.05  # share of the compiled time below which a plan is only in the file
FILE = "profile.json"


class Watch:
    """A stopwatch with phases.

    Args:
        on: whether to measure; else all of it does nothing.

    Attributes:
        seconds: by phase.
        steps: how many gradients were computed.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self.seconds: dict[str, float] = {}
        self.steps = 0
        self._began = time.perf_counter()
        self._clock: Clock | None = None
        self._held = ExitStack()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is done within to a phase."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def over(self, task: Task) -> Task:
        """Return a task whose model and batches are measured from now on; it has been loaded."""
        if not self.on:
            return task
        self.seconds[LOADING] = time.perf_counter() - self._began
        self._clock = self._held.enter_context(task.model.backend(task.engine.backend).clocked())
        engine: Any = Measured(task.engine, self, MODEL)
        if task.data is None:
            return replace(task, engine=engine)
        source: Any = Measured(task.data.train, self, DATA)
        return replace(task, engine=engine, data=replace(task.data, train=source))

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Within, a task is measured; afterwards its model is as it was."""
        with self._held:
            yield

    def conclude(self, folder: Path, *, quiet: bool) -> dict[str, Any]:
        """Print where the time went, write it to the run folder, and return it.

        Args:
            folder: of the run.
            quiet: whether to print nothing.
        """
        total = time.perf_counter() - self._began
        profiles = self._clock.profiles() if self._clock else ()
        document = self._document(total, profiles)
        write_whole(folder / FILE, json.dumps(document, indent=2) + "\n")
        if not quiet:
            echo_lines(self._lines(document, profiles, terminal_width()))
        return document

    def _document(self, total: float, profiles: tuple[Profile, ...]) -> dict[str, Any]:
        first = sum(p.first for p in profiles)
        blocks = sum(sum(p.blocks) for p in profiles)
        learning = self.seconds.get(MODEL, 0.0)
        parts = {f"{MODEL}, compiled code": blocks} if profiles else {}
        parts[f"{MODEL}, Python around it" if profiles else MODEL] = learning - first - blocks
        if profiles:
            parts[FIRST] = first
        parts |= {n: s for n, s in self.seconds.items() if n != MODEL}
        parts[REST] = total - sum(parts.values())
        return {
            "total": total,
            "steps": self.steps,
            "seconds": parts,
            "plans": [_plan(p) for p in profiles],
        }

    def _lines(
        self, document: dict[str, Any], profiles: tuple[Profile, ...], width: int
    ) -> Iterator[StyledLine]:
        total, steps = document["total"], document["steps"]
        yield line()
        yield line(f"where the time went  {total:.2f} s, {plural(steps, 'step')}", BOLD)
        for name, spent in document["seconds"].items():
            yield line(f"{name:<38}{spent:>8.2f} s {100 * spent / total:>6.1f} %")
        compiled = sum(p.total for p in profiles)
        for profile in profiles:
            if profile.runs and profile.total >= LEAST * compiled:
                yield line()
                yield from _block_lines(profile, width)


class Measured:
    """An object whose methods are counted to a phase.

    Args:
        inner: the object.
        watch: what counts.
        phase: the name of the phase.
    """

    def __init__(self, inner: Any, watch: Watch, phase: str) -> None:
        self._inner, self._watch, self._phase = inner, watch, phase

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def measured(*arguments: Any, **options: Any) -> Any:
            self._watch.steps += name == "step"
            with self._watch.phase(self._phase):
                return found(*arguments, **options)

        return measured


def repeat(step: Any) -> None:
    """Take a step again and again for a second: a run without data has only one."""
    began = time.perf_counter()
    for _ in range(MOST_STEPS):
        step()
        if time.perf_counter() - began > LONG_ENOUGH:
            return


def _described(profile: Profile) -> Description:
    """Return a Plan in words, at its usual extents; costs are the mean over the usual ones."""
    from unfold.explain.describe import describe

    usual = profile.extents.most_common(USUAL)
    found = [describe(profile.plan, dict(extents), dtype=profile.dtype) for extents, _ in usual]
    weights = [count / sum(n for _, n in usual) for _, count in usual]

    def mean(numbers: Iterable[int]) -> int:
        return round(sum(w * n for w, n in zip(weights, numbers, strict=True)))

    rows = tuple(
        replace(same[0], flops=mean(r.flops for r in same), bytes=mean(r.bytes for r in same))
        for same in zip(*(f.rows for f in found), strict=True)
    )
    costs = {"flops": mean(f.flops for f in found), "bytes": mean(f.bytes for f in found)}
    return replace(found[0], rows=rows, **costs)


def _spent(profile: Profile, blocks: tuple[int, int] | None) -> float | None:
    """Return the seconds of some blocks in one run."""
    if blocks is None or not profile.runs:
        return None
    first, last = blocks
    return sum(profile.blocks[first - 1 : last]) / profile.runs


def _plan(profile: Profile) -> dict[str, Any]:
    """Return what the runs of one Plan took, as JSON values."""
    found = _described(profile)
    rows = [
        {
            "blocks": row.blocks,
            "kind": row.kind,
            "text": row.text,
            "seconds": _spent(profile, row.blocks),
            "flops": row.flops,
            "bytes": row.bytes,
        }
        for row in found.rows
        if row.blocks is not None
    ]
    facts = {n: getattr(profile, n) for n in FACTS}
    return {"name": profile.plan.name, "extents": found.extents, **facts, "rows": rows}


def _block_lines(profile: Profile, width: int) -> Iterator[StyledLine]:
    """Yield the statements of a Plan with the time of each block, and the speed it had."""
    found = _described(profile)
    each = profile.total / profile.runs
    program = profile.plan.program
    backward = any(isinstance(program[n].origin, Adjoint) for n in profile.plan.results)
    told = f"{'forward and backward' if backward else 'forward'}, {plural(profile.runs, 'run')} of"
    told += f" {1e3 * each:.3f} ms on {plural(profile.threads, 'thread')}"
    yield from summary_lines(found, told, width)
    yield line()
    times = [_spent(profile, row.blocks) for row in found.rows]
    yield from statement_lines(found.rows, _speeds(found, times, each), width)
    waited = profile.waited / profile.runs
    around = each - sum(profile.blocks) / profile.runs - waited
    yield line(f"waiting for threads: {1e3 * waited:.3f} ms, {100 * waited / each:.1f} %")
    yield line(f"Python around the blocks: {1e3 * around:.3f} ms, {100 * around / each:.1f} %")


def _speeds(found: Description, times: list[float | None], each: float) -> list[Column]:
    def cells(numbers: Iterator[float | None], digits: int) -> list[str]:
        return ["" if n is None else f"{n:.{digits}f}" for n in numbers]

    pairs = list(zip(times, found.rows, strict=True))
    return [
        Column("ms", cells((None if t is None else 1e3 * t for t in times), 3)),
        Column("%", cells((None if t is None else 100 * t / each for t in times), 1)),
        Column(
            "Gflop/s", cells((r.flops / t / 1e9 if t and r.flops else None for t, r in pairs), 1)
        ),
        Column("GB/s", cells((r.bytes / t / 1e9 if t else None for t, r in pairs), 1)),
    ]
