"""Feed damaged specs to everything that reads them.

    python -m tests.fuzz --count 20000 --seed 0

A case passes when the outcome is a model or an `UnfoldError`, within a second or 8,000,000 calls of
functions (`tests/work.py`), and without growing the process beyond 4 GiB of addresses. A model is
also taken through modes, boundaries and differentiation, and a small one is run. Anything else is
written to a folder with the text that caused it; exit code 1.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from multiprocessing import Pool
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from tests.fuzz.mutate import corpus, mutated
from tests.work import Done, TooMuchWork, work
from unfold.core.program import Program
from unfold.errors import SpecError, UnfoldError

if TYPE_CHECKING:
    import unfold

CALLS = 8_000_000  # a second or two on a quiet machine
BRIEF = 1.0  # seconds of processor time, too few for so many calls: counting them takes as long
MEMORY = 4 * 2**30
SMALL = 20_000
PATIENCE = 600  # seconds, after which a case that only waits ends the process


def outcome(text: str) -> str:
    """Return "model" or "diagnostic"; anything else is an exception.

    A spec that was found sound must also run: a refusal after that is a failure of the checks.
    """
    import unfold

    try:
        model = unfold.loads(text, file="case.yaml")
    except SpecError as error:
        assert error.diagnostics and all(d.message for d in error.diagnostics), error
        return "diagnostic"
    names = [v.name for v in model.program.parameters if not v.attributes["frozen"]]
    if model.program.loss is not None and names:
        model.pipeline.adjoint(names)
        if model.program.feedbacks:
            model.pipeline.adjoint(names, mode="free")
    try:
        _read_settings(model)
    except UnfoldError as error:
        assert str(error), error
    _run(model, text)
    return "model"


def _read_settings(model: unfold.Model) -> None:
    """Read what a spec says of its data and of training, and take rules to late steps."""
    from unfold.settings.generate import read_generate
    from unfold.settings.train import read_train
    from unfold.training.data import check_data, read_data

    spec = model.spec
    if spec.data is not None:
        check_data(read_data(spec.data), spec.data, model.program)
    if spec.generate is not None:
        read_generate(spec.generate)
    if spec.train is not None:
        settings = read_train(spec.train)
        for step in (0, 1, 10**9):
            settings.schedule.factor(step, settings.steps)
            settings.mode_at(step)


def _run(model: object, text: str) -> None:
    """Run a small model forward and backward, at short extents where its own are long."""
    import unfold
    from unfold.training.data import random_inputs

    assert isinstance(model, unfold.Model)
    if _elements(model.program) > SMALL:
        free = [a.name for a in model.spec.axes if model.program.axes[a.name].extent.is_constant]
        try:
            model = unfold.loads(text, file="case.yaml", axes=dict.fromkeys(free, 2))
        except SpecError:
            return  # two points are too few for an axis that is derived from it
    if _elements(model.program) <= SMALL:
        params, inputs = model.init(seed=0), random_inputs(model.program, batch=1, seed=0)
        model.forward(params, inputs, backend="reference", state=False)
        trained = any(not v.attributes["frozen"] for v in model.program.parameters)
        if model.program.loss is not None and trained:
            model.value_and_grad(params, inputs, backend="reference")


def _elements(program: Program) -> int:
    """Return how many numbers all values of a Program hold, for one sequence."""
    from unfold.runs.domain import Domain

    extents = Domain(program).extents
    return sum(
        prod(int(d) for d in v.type.stored) * prod(extents[a] for a in v.axes) for v in program
    )


def case(arguments: tuple[int, int, Sequence[str]]) -> tuple[int, str, str, int]:
    """Run one case; return its number, its outcome, what went wrong and the calls it took."""
    seed, number, texts = arguments
    text = mutated(seed, number, texts)
    done = Done()
    signal.alarm(PATIENCE)
    try:
        try:
            with briefly(BRIEF):
                found, wrong = outcome(text), ""
        except NotBrief:
            with work(CALLS) as done:
                found, wrong = outcome(text), ""
    except TooMuchWork as error:
        found, wrong = "too much work", str(error)
    except MemoryError:
        found, wrong = "too large", "more than 4 GiB of addresses"
    except BaseException:
        found, wrong = "crash", traceback.format_exc()
    finally:
        signal.alarm(0)
    return number, found, wrong, done.calls


class NotBrief(BaseException):
    """A block took longer; nothing that catches mistakes catches it."""


@contextmanager
def briefly(seconds: float) -> Iterator[None]:
    """End a block with `NotBrief` once it has used so much processor time.

    It is raised in a function of the package: Python ignores what is raised in a destructor or in
    a callback of the garbage collector, and pytest takes that for a fault.
    """

    def end(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_globals.get("__name__", "").startswith("unfold."):
            raise NotBrief

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds / 100)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _start() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(count: int, seed: int, folder: Path, *, workers: int = 2, first: int = 0) -> Counter[str]:
    """Run cases; write those that fail into a folder, and return how often each outcome came."""
    texts = corpus()
    outcomes: Counter[str] = Counter()
    most, began = 0, time.perf_counter()
    jobs = ((seed, n, texts) for n in range(first, first + count))
    with Pool(workers, initializer=_start) as pool:
        for number, found, wrong, calls in pool.imap_unordered(case, jobs, chunksize=20):
            outcomes[found] += 1
            most = max(most, calls)
            if wrong:
                folder.mkdir(parents=True, exist_ok=True)
                name = folder / f"{found.replace(' ', '-')}-{seed}-{number}"
                name.with_suffix(".yaml").write_text(mutated(seed, number, texts))
                name.with_suffix(".txt").write_text(wrong)
                print(f"case {number}: {found}: {wrong.strip().splitlines()[-1]}", flush=True)
    print(f"{dict(outcomes)} in {time.perf_counter() - began:.0f} s, at most {most:,} calls")
    return outcomes


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    given = parser.parse_args()
    outcomes = run(given.count, given.seed, given.folder, first=given.first)
    return 0 if set(outcomes) <= {"model", "diagnostic"} else 1


if __name__ == "__main__":
    sys.exit(main())
