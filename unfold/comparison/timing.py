"""Measure the time of models in turns, so that a machine's ups and downs meet all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from unfold.speed.timing import Times, interleave, turn
from unfold.speed.timing import timed as once

if TYPE_CHECKING:
    from unfold import Model
    from unfold.comparison.compare import Question


def timed(
    models: Mapping[str, Model], asked: Question, tell: Callable[[str], None]
) -> Iterator[tuple[str, str, float]]:
    """Yield (variant, what, seconds): the fastest run, and the median of all.

    Inputs are random; the first run of each, which compiles, is not counted.
    """
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    for backend in asked.backends:
        for variant, model in models.items():
            for what, run in _runs(model, asked, backend):
                runs[variant, f"{what}, {backend}"] = run
    expected: dict[tuple[str, str], float] = {}
    for (variant, what), run in runs.items():
        tell(f"time of {variant}: {what}")
        run()
        expected[variant, what] = once(run)
    names = {f"{v}\n{w}": (v, w) for v, w in runs}
    turns = {n: partial(turn, runs[k], expected=expected[k]) for n, k in names.items()}
    for name, durations in interleave(turns, asked.seconds).items():
        variant, what = names[name]
        times = Times.of(durations)
        yield variant, f"{what}, fastest", times.minimum
        yield variant, f"{what}, median", times.median


def _runs(model: Model, asked: Question, backend: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    from unfold.training.data import random_inputs

    params = model.init(seed=0, dtype="float32")
    inputs = random_inputs(model.program, batch=asked.batch, seed=0, dtype="float32")
    options: dict[str, Any] = {"backend": backend, "mode": asked.mode}
    yield "forward", partial(model.forward, params, inputs, batch=asked.batch, **options)
    if model.program.loss is not None:
        yield "forward and backward", partial(model.step, params, inputs, **options)
