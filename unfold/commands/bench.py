"""`unfold bench`: how fast a spec runs here, or how fast unfold is beside its peers.

    unfold bench specs/gru.yaml     forward, and forward and backward, on every backend, in turns
    unfold bench                    an LSTM against PyTorch, JAX and NumPy, those that are installed

Operations are those that the spec's equations ask for (`Model.cost`), whatever a backend makes of
them; the share is that of a product of matrices by NumPy's BLAS on all processors. The comparison
with peers is `python -m benchmarks.peers` of the repository at a small setting.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from unfold.core.processors import processors
from unfold.errors import MISTAKE, UnfoldError
from unfold.terminal.loading import choose_backend, load, read_changes, read_mode
from unfold.terminal.report import named, plural, print_json, table
from unfold.terminal.screen import echo, paint
from unfold.terminal.timing import Times, gemm_peak, interleave, timed, turn

REPOSITORY = Path(__file__).parent.parent.parent
DTYPES = ("float32", "float64")
HEADINGS = ("backend", "what", "first, ms", "minimum, ms", "median, ms", "Gflop/s", "% of GEMM")


@dataclass(frozen=True)
class Question:
    """What to time.

    Attributes:
        backends: their names; none means all.
        batch: number of sequences.
        dtype: of parameters and inputs.
        mode: which branch of output feedback.
        seconds: how long to time each.
    """

    backends: list[str]
    batch: int
    dtype: str
    mode: str
    seconds: float


@dataclass(frozen=True)
class Job:
    """Something to time: a backend's forward pass, or forward and backward."""

    backend: str
    what: str
    run: Callable[[], Any]
    flops: int

    @property
    def name(self) -> str:
        """As in `numba forward`."""
        return f"{self.backend} {self.what}"


@dataclass
class Found:
    """Jobs that run, with the seconds of their first two runs, and why others do not."""

    jobs: list[Job] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    failures: dict[str, UnfoldError] = field(default_factory=dict)


def bench(spec: str, items: list[str], asked: Question, *, as_json: bool) -> int:
    """Time a spec on random inputs and return the exit code."""
    for backend in asked.backends:
        choose_backend(backend)
    if asked.dtype not in DTYPES:
        raise UnfoldError(f"--dtype {asked.dtype}: expected one of {', '.join(DTYPES)}")
    model = load(spec, read_changes(items))
    found = _try(_jobs(model, asked))
    if not found.jobs:
        raise next(iter(found.failures.values()))
    turns = {j.name: partial(turn, j.run, expected=found.again[j.name]) for j in found.jobs}
    durations = interleave(turns, asked.seconds)
    peak = {n: gemm_peak(n) for n in sorted({1, processors()})}
    rows: list[dict[str, Any]] = []
    for job in found.jobs:
        times = Times.of(durations[job.name])
        rate = job.flops / times.minimum
        figures = {"first": found.first[job.name], **asdict(times)}
        share = rate / max(peak.values())
        rows.append(
            {"backend": job.backend, "what": job.what, **figures, "rate": rate, "share": share}
        )
    axes = model.summary()["axes"]
    if as_json:
        facts = {"axes": axes, "batch": asked.batch, "dtype": asked.dtype, "rows": rows}
        failures = {name: str(error) for name, error in found.failures.items()}
        print_json({"ok": True, "name": model.name, **facts, "peak": peak, "failed": failures})
        return 0
    sizes = [named(axes), f"batch {asked.batch}", asked.dtype]
    echo(f"{paint(model.name, bold=True)}  {' · '.join(s for s in sizes if s)}\n")
    table(HEADINGS, [_cells(row) for row in rows], right=range(2, len(HEADINGS)))
    echo()
    for name, error in found.failures.items():
        echo(f"{name}: {error}")
    limits = [f"{v / 1e9:.0f} Gflop/s on {plural(n, 'thread')}" for n, v in peak.items()]
    echo(f"GEMM, a product of 2048 x 2048 matrices in float32: {', '.join(limits)}")
    return 0


def _jobs(model: Any, asked: Question) -> Iterator[Job]:
    """Yield what there is to time: on each backend forward, and backward where there is a loss."""
    from unfold.backends import BACKENDS
    from unfold.training.data import random_inputs

    mode = read_mode(asked.mode)
    parameters = model.init(seed=0, dtype=asked.dtype)
    inputs = random_inputs(model.program, batch=asked.batch, seed=0, dtype=asked.dtype)
    cost = model.cost(batch=asked.batch, mode=mode)
    for backend in dict.fromkeys(asked.backends or BACKENDS):
        options = {"backend": backend, "mode": mode}
        run = partial(model.forward, parameters, inputs, batch=asked.batch, **options)
        yield Job(backend, "forward", run, cost.flops)
        if model.program.loss is not None:
            run = partial(model.step, parameters, inputs, **options)
            yield Job(backend, "forward + backward", run, cost.flops + cost.backward_flops)


def _try(jobs: Iterator[Job]) -> Found:
    """Run everything twice: the first run compiles, the second says how long one takes."""
    found = Found()
    for job in jobs:
        echo(f"{job.name} ...", err=True)
        try:
            found.first[job.name], found.again[job.name] = timed(job.run), timed(job.run)
        except UnfoldError as error:
            found.failures[job.name] = error
        else:
            found.jobs.append(job)
    return found


def _cells(row: dict[str, Any]) -> list[str]:
    times = [f"{1e3 * row[key]:.3f}" for key in ("first", "minimum", "median")]
    speed = [f"{row['rate'] / 1e9:.2f}", f"{100 * row['share']:.1f}"]
    return [row["backend"], row["what"], *times, *speed]


def compare(cells: str, shapes: str, seconds: float, *, as_json: bool) -> int:
    """Compare with the peers that are installed, by the repository's own program."""
    if not (REPOSITORY / "benchmarks" / "peers" / "run.py").is_file():
        raise UnfoldError(
            "the comparison with PyTorch, JAX and NumPy is in the repository, not in the package\n"
            "  help: unfold bench SPEC  times a spec"
        )
    words = ["--cells", cells, "--shapes", shapes, "--seconds", str(seconds), "--startup", "none"]
    program = [sys.executable, "-m", "benchmarks.peers", *words, *(["--json"] if as_json else [])]
    done = subprocess.run(
        program, cwd=REPOSITORY, stdout=subprocess.PIPE if as_json else None, text=True, check=False
    )
    if as_json and done.stdout:
        echo(done.stdout, nl=False)
    elif done.returncode:
        raise UnfoldError("the comparison failed; see stderr")
    return MISTAKE if done.returncode else 0
