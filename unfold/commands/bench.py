"""Time a spec, measure this machine, or compare unfold with PyTorch, JAX and NumPy.

    unfold bench gru
    unfold bench --quick
    unfold bench --cells lstm --shapes S2

A spec is timed forward and, if it has a loss, forward and backward; backends take turns. Gflop/s
counts the operations of its equations, however a backend computes them, and % of GEMM compares
with a product of matrices by NumPy's BLAS on all processors. The quick benchmark takes a minute: it
tells the processor's instruction set and limits, and how much of them recurrent cells reach. The
comparison with peers is `python -m benchmarks.peers` of the repository, at a small setting.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from unfold.core.processors import processors
from unfold.errors import MISTAKE, UnfoldError
from unfold.files import parse_json
from unfold.speed.timing import Times, gemm_peak, interleave, timed, turn
from unfold.terminal.loading import choose_backend, load, read_changes, read_mode
from unfold.terminal.options import BatchOption, JsonOption, ModeOption, SetOption, dtype_option
from unfold.terminal.report import named, plural, print_json, table
from unfold.terminal.screen import echo, paint

REPOSITORY = Path(__file__).parent.parent.parent
PEERS = ("torch", "jax")  # of the quick benchmark
PATIENCE = 15.0  # seconds that these need at least
DTYPES = ("float32", "float64")
HEADINGS = ("backend", "what", "first, ms", "minimum, ms", "median, ms", "Gflop/s", "% of GEMM")


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
class Timed:
    """Jobs that run, with the seconds of their first two runs, and why others do not."""

    jobs: list[Job] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    failures: dict[str, UnfoldError] = field(default_factory=dict)


def bench(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="SPEC", help="Spec to time; without it, compare unfold with its peers."
        ),
    ] = None,
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="NAME", help="Time this backend (repeatable); default: all."
        ),
    ] = None,
    batch: BatchOption = 32,
    dtype: Annotated[str, dtype_option("Compute in float32 or float64.")] = "float32",
    mode: ModeOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, metavar="S", help="Time each for S seconds.")
    ] = 1.0,
    cells: Annotated[
        str, typer.Option("--cells", metavar="NAMES", help="Without SPEC: compare these cells.")
    ] = "lstm",
    shapes: Annotated[
        str,
        typer.Option(
            "--shapes", metavar="NAMES", help="Without SPEC: use shapes S1 to S5, or TxBxH."
        ),
    ] = "S2",
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Measure this machine: its limits, and cells, in a minute."),
    ] = False,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Time a spec on random inputs, measure the machine, or compare with peers."""
    if quick and spec is not None:
        raise UnfoldError(
            f"--quick measures cells of its own, and takes no spec\n"
            f"  help: leave out {spec}, or time it with  unfold bench {spec}"
        )
    if quick:
        return _quick(json)
    if spec is None:
        return _compare(cells, shapes, seconds, json)
    for backend in backends or ():
        choose_backend(backend)
    if dtype not in DTYPES:
        raise UnfoldError(f"--dtype {dtype}: expected one of {', '.join(DTYPES)}")
    model = load(spec, read_changes(changes))
    options = {"batch": batch, "dtype": dtype, "mode": read_mode(mode or "teacher")}
    return _time(model, backends, seconds, json, **options)


def _time(
    model: Any, backends: list[str] | None, seconds: float, json: bool, **options: Any
) -> int:
    """Time a spec on backends, in turns; options are those of `_jobs`."""
    found = _try(_jobs(model, backends, **options))
    if not found.jobs:
        raise next(iter(found.failures.values()))
    turns = {j.name: partial(turn, j.run, expected=found.again[j.name]) for j in found.jobs}
    durations = interleave(turns, seconds)
    peak = {n: gemm_peak(n) for n in sorted({1, processors()})}
    best = max(peak.values())
    rows = [_row(j, found.first[j.name], Times.of(durations[j.name]), best) for j in found.jobs]
    axes = model.summary()["axes"]
    if json:
        facts = {"axes": axes, "batch": options["batch"], "dtype": options["dtype"], "rows": rows}
        failures = {name: str(error) for name, error in found.failures.items()}
        print_json({"ok": True, "name": model.name, **facts, "peak": peak, "failed": failures})
        return 0
    sizes = [named(axes), f"batch {options['batch']}", options["dtype"]]
    echo(f"{paint(model.name, bold=True)}  {' · '.join(s for s in sizes if s)}\n")
    table(HEADINGS, [_cells(row) for row in rows], right=range(2, len(HEADINGS)))
    echo()
    for name, error in found.failures.items():
        echo(f"{name}: {error}")
    limits = [f"{v / 1e9:.0f} Gflop/s on {plural(n, 'thread')}" for n, v in peak.items()]
    echo(f"GEMM, a product of 2048 x 2048 matrices in float32: {', '.join(limits)}")
    return 0


def _jobs(
    model: Any, backends: list[str] | None, *, batch: int, dtype: str, mode: Any
) -> Iterator[Job]:
    """Yield what there is to time: on each backend forward, and backward where there is a loss."""
    from unfold.backends import BACKENDS
    from unfold.training.data import random_inputs

    parameters = model.init(seed=0, dtype=dtype)
    inputs = random_inputs(model.program, batch=batch, seed=0, dtype=dtype)
    cost = model.cost(batch=batch, mode=mode)
    for backend in dict.fromkeys(backends or BACKENDS):
        options = {"backend": backend, "mode": mode}
        run = partial(model.forward, parameters, inputs, batch=batch, **options)
        yield Job(backend, "forward", run, cost.flops)
        if model.program.loss is not None:
            run = partial(model.step, parameters, inputs, **options)
            yield Job(backend, "forward + backward", run, cost.flops + cost.backward_flops)


def _try(jobs: Iterator[Job]) -> Timed:
    """Run everything twice: the first run compiles, the second says how long one takes."""
    found = Timed()
    for job in jobs:
        echo(f"{job.name} ...", err=True)
        try:
            found.first[job.name], found.again[job.name] = timed(job.run), timed(job.run)
        except UnfoldError as error:
            found.failures[job.name] = error
        else:
            found.jobs.append(job)
    return found


def _row(job: Job, first: float, times: Times, peak: float) -> dict[str, Any]:
    """Return what is printed of a job: seconds, operations per second, and their part of a peak."""
    rate = job.flops / times.minimum
    figures = {"first": first, **asdict(times), "rate": rate, "share": rate / peak}
    return {"backend": job.backend, "what": job.what, **figures}


def _cells(row: dict[str, Any]) -> list[str]:
    times = [f"{1e3 * row[key]:.3f}" for key in ("first", "minimum", "median")]
    speed = [f"{row['rate'] / 1e9:.2f}", f"{100 * row['share']:.1f}"]
    return [row["backend"], row["what"], *times, *speed]


def _quick(json: bool) -> int:
    """Measure this machine, and compare with the peers that are installed if there is time."""
    from unfold.speed.quick import MINUTE, measure
    from unfold.terminal.quick_text import document, show

    found = measure(processors(), lambda text: echo(text, err=True))
    rows = _peers(MINUTE - found.seconds)
    if json:
        print_json(document(found, rows))
    else:
        show(found, rows)
    return 0


def _peers(seconds: float) -> list[dict[str, Any]]:
    """Return the times of an LSTM by installed peers; none without the repository or the time."""
    names = [name for name in PEERS if find_spec(name) is not None]
    if not names or not _has_peers() or seconds < PATIENCE:
        return []
    told = f"lstm beside {' and '.join(names)}"
    echo(f"{told} ...", err=True)
    words = ["--cells", "lstm", "--shapes", "S1,S2", "--seconds", "0.3", "--gemm", "512", "--json"]
    program = _program(*words, "--peers", ",".join(["unfold", *names]))
    try:
        done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, timeout=seconds)
        return parse_json(done.stdout)["results"]
    except (subprocess.TimeoutExpired, ValueError):
        echo(f"{told}: left out, there is no result in time", err=True)
        return []


def _compare(cells: str, shapes: str, seconds: float, json: bool) -> int:
    """Compare with the peers that are installed, by the repository's own program."""
    if not _has_peers():
        raise UnfoldError(
            "the comparison with PyTorch, JAX and NumPy is in the repository, not in the package\n"
            "  help: unfold bench SPEC  times a spec, unfold bench --quick  measures this machine"
        )
    words = ["--cells", cells, "--shapes", shapes, "--seconds", str(seconds)]
    program = _program(*words, *(["--json"] if json else []))
    done = subprocess.run(
        program, cwd=REPOSITORY, stdout=subprocess.PIPE if json else None, text=True, check=False
    )
    if json and done.stdout:
        echo(done.stdout, nl=False)
    elif done.returncode:
        raise UnfoldError("the comparison failed; see stderr")
    return MISTAKE if done.returncode else 0


def _has_peers() -> bool:
    return (REPOSITORY / "benchmarks" / "peers" / "run.py").is_file()


def _program(*words: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers", "--startup", "none", *words]
