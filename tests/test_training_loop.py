"""The loop and its parts, with a hand-made model in place of the engine.

The model scores the next symbol by the present one, logits[t] = W[x[t]] + b, and its state is half
the state before plus one. Its gradients are written out: nothing here depends on the engine.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs import PATIENCE
from unfold.core.rule import Applied, Rule, interpret
from unfold.settings.train import TrainSettings
from unfold.training.checkpoint import TrainingState, load
from unfold.training.data import Batch, StreamSource
from unfold.training.data.text import Text
from unfold.training.loop import Trainer, start
from unfold.training.metrics import Metrics, read_metrics
from unfold.training.session import Outcome, Setting, run_session

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """What a step or a run of the model gives."""

    loss: float
    grads: Arrays
    carry: Arrays
    logits: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        assert name == "logits"
        return self.logits


class Bigrams:
    """The model, as `Learner` shows it; it remembers the carries and seeds it was given."""

    trained = ("W", "b")

    def __init__(self, symbols: int = 4, *, explode_at: int | None = None) -> None:
        self.symbols, self.explode_at = symbols, explode_at
        self.carries: list[Arrays | None] = []
        self.seeds: list[int] = []

    def decayed(self, *, biases: bool) -> tuple[str, ...]:
        """Return what weight decay shrinks."""
        return ("W", "b") if biases else ("W",)

    def seed(self, seed: int, step: int, mode: object) -> int:
        """Return the seed of a step."""
        return seed + step

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return small weights, and a constant that nobody trains."""
        shape = (self.symbols, self.symbols)
        weights = np.random.default_rng(seed).normal(0, 0.1, shape).astype(dtype)
        return {"c": np.ones(2, dtype), "b": np.full(self.symbols, 0.5, dtype), "W": weights}

    def step(
        self,
        params: Mapping[str, np.ndarray],
        inputs: Arrays,
        *,
        carry: Arrays | None = None,
        mode: object = "teacher",
        seed: int = 0,
    ) -> Result:
        """Run forward and backward."""
        self.carries.append(carry)
        self.seeds.append(seed)
        if len(self.carries) == self.explode_at:
            return Result(math.nan, {"W": np.zeros_like(params["W"])}, {}, np.zeros(0))
        x, y = inputs["x"], inputs["y"]
        state = 0.0 if carry is None else carry["s"][:, None]
        logits = params["W"][x] + params["b"]
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        loss = float(-np.log(np.take_along_axis(p, y[..., None], -1)).mean())
        g = (p - np.eye(self.symbols)[y]) / y.size
        gradient = np.zeros_like(params["W"])
        np.add.at(gradient, x, g)
        s = np.broadcast_to(0.5 * state + 1.0, x.shape)[:, 0]
        return Result(loss, {"W": gradient, "b": g.sum((0, 1))}, {"s": s}, logits)

    def bind(self, *rules: tuple[Rule, Arrays]) -> tuple[Applied, ...]:
        """Let NumPy do what rules say."""
        return tuple(interpret(rule, arrays) for rule, arrays in rules)

    def forward(self, params: Mapping[str, np.ndarray], inputs: Arrays, **options: Any) -> Result:
        """Run forward."""
        return self.step(params, inputs, **options)


TEXT = Text.of("abcabcabdabcabcabd" * 4)
BASE: dict[str, Any] = {"steps": 60, "optimizer": {"sgd": {"rate": 2.0}}, "clip": {"norm": 0.2}}


def settings(**changes: Any) -> TrainSettings:
    """Return the usual settings with some changes."""
    return TrainSettings.model_validate({**BASE, **changes})


def source(length: int = 5) -> StreamSource:
    """Read the text in two rows."""
    half = len(TEXT.codes) // 2
    rows = np.stack([TEXT.codes[: half + 1], TEXT.codes[half - 1 : 2 * half]])
    return StreamSource({"x": rows[:, :-1], "y": rows[:, 1:]}, length)


def trainer(model: Any, how: TrainSettings, state: TrainingState | None = None) -> Trainer:
    """Return a trainer of the text."""
    return Trainer(model, source(), how, state or start(model, how))


def run(how: TrainSettings, setting: Setting | None = None, **begin: Any) -> Outcome:
    """Train to the end."""
    return run_session(trainer(Bigrams(), how, **begin), setting or Setting())


def validation() -> Iterator[Batch]:
    """Yield two batches of one row."""
    for step in (0, 1):
        batch = source().batch(step)
        yield Batch({n: a[:1] for n, a in batch.inputs.items()}, fresh=step == 0)


# Steps


def test_the_loss_falls_and_the_state_is_carried() -> None:
    model = Bigrams()
    outcome = run_session(trainer(model, settings()), Setting())
    assert outcome.ending == "finished"
    assert len(outcome.losses) == outcome.taken == 60
    assert outcome.losses[0] == pytest.approx(math.log(4), abs=0.1)
    assert outcome.losses[-1] < 0.5
    assert [c is None for c in model.carries] == [i % source().epoch == 0 for i in range(60)]
    second = model.carries[2]
    assert second is not None
    np.testing.assert_array_equal(second["s"], [1.5, 1.5])
    assert model.seeds == list(range(60))


def test_what_is_frozen_stays_and_the_rest_moves() -> None:
    state = run(settings()).state
    fresh = Bigrams().init()
    np.testing.assert_array_equal(state.parameters["c"], fresh["c"])
    assert all((state.parameters[n] != fresh[n]).any() for n in ("W", "b"))


def test_metrics_report_the_norm_before_clipping() -> None:
    how = settings(clip={"norm": 1e-3}, optimizer={"sgd": {"rate": 1.0}})
    begun = trainer(Bigrams(), how)
    before = {n: a.copy() for n, a in begun.parameters.items()}
    metrics = begun.step()
    moved = math.hypot(*(np.linalg.norm(begun.parameters[n] - before[n]) for n in ("W", "b")))
    assert moved == pytest.approx(1e-3, rel=1e-9)
    assert metrics.gradient_norm > 1e-2
    assert (metrics.clipped, begun.clipped) == (1.0, (1, 1.0))


def test_the_smoothed_loss_begins_at_a_guess() -> None:
    model = Bigrams()
    begun = Trainer(model, source(), settings(), start(model, settings()), guess=5.0)
    metrics = begun.step()
    assert metrics.smoothed == pytest.approx(0.999 * 5.0 + 0.001 * metrics.loss, rel=1e-15)
    first = trainer(model, settings()).step()
    assert first.smoothed == pytest.approx(first.loss, rel=1e-15)


def test_a_schedule_multiplies_the_rate() -> None:
    how = settings(schedule=[{"warmup": 2}, {"linear": {"to": 0, "over": 2}}], clip=None)
    begun = trainer(Bigrams(), how)
    assert [begun.step().rate for _ in range(5)] == [1.0, 2.0, 2.0, 1.0, 0.0]
    same = begun.parameters["W"].copy()
    begun.step()
    np.testing.assert_array_equal(begun.parameters["W"], same)


@pytest.mark.parametrize(
    ("how", "shrunk"),
    [
        ({"weight_decay": 0.1}, ("W",)),
        ({"weight_decay": {"rate": 0.1, "biases": True}}, ("W", "b")),
        ({"optimizer": {"adamw": {"rate": 0.1, "weight_decay": 0.1}}}, ("W",)),
    ],
)
def test_weight_decay_is_beside_the_gradient_and_spares_biases(
    how: dict[str, Any], shrunk: tuple[str, ...]
) -> None:
    plain = {"optimizer": {"adam": {"rate": 0.1}}} if "optimizer" in how else {}
    one = trainer(Bigrams(), settings(**how))
    other = trainer(Bigrams(), settings(**plain))
    before = {n: a.copy() for n, a in one.parameters.items()}
    rate = one.step().rate
    other.step()
    for name in ("W", "b"):
        expected = other.parameters[name] - (rate * 0.1 * before[name] if name in shrunk else 0)
        np.testing.assert_allclose(one.parameters[name], expected, rtol=1e-13, atol=1e-16)


def test_gradient_noise_is_off_by_default_and_drawn_anew_in_every_step() -> None:
    # In three runs with a rate of 1 and no clipping, weights differ by the noise alone.
    plain = {"optimizer": {"sgd": {"rate": 1.0}}, "clip": None}
    runs = [trainer(Bigrams(), settings(**plain, **n)) for n in ({}, NOISE, NOISE)]
    for each in runs:
        each.step()
    quiet, loud, again = (r.parameters["W"].copy() for r in runs)
    np.testing.assert_array_equal(loud, again)
    assert np.std(quiet - loud) == pytest.approx(0.5, rel=0.5)
    drawn = [quiet - loud]
    for each in runs[1:]:
        each.step()
    np.testing.assert_array_equal(runs[1].parameters["W"], runs[2].parameters["W"])
    assert not np.allclose(drawn[0], 0)


NOISE = {"noise": {"scale": 0.25, "decay": 0.0}}


# The seam for several machines


def test_two_shards_that_reduce_their_gradients_equal_the_whole_batch() -> None:
    """Two threads, each with a row of the batch, and an all-reduce between them."""
    how = settings(steps=12, optimizer="adam")
    meet = threading.Barrier(2, timeout=PATIENCE)
    parts: list[tuple[float, np.ndarray, int]] = [None, None]  # type: ignore[list-item]
    ends: dict[int, TrainingState] = {}

    def work(rank: int) -> None:
        def all_reduce(loss: float, gradient: np.ndarray, sequences: int) -> float:
            parts[rank] = (loss, gradient.copy(), sequences)
            meet.wait()
            total = sum(n for *_, n in parts)
            gradient[:] = sum(g * (n / total) for _, g, n in parts)
            mean = sum(x * n / total for x, _, n in parts)
            meet.wait()
            return mean

        class Row(StreamSource):
            def batch(self, step: int) -> Batch:
                whole = source().batch(step)
                mine = {n: a[rank : rank + 1] for n, a in whole.inputs.items()}
                return replace(whole, inputs=mine)

        model = Bigrams()
        rows = source()
        shard = Trainer(
            model, Row(rows.arrays, rows.length), how, start(model, how), reduce=all_reduce
        )  # type: ignore[arg-type]
        ends[rank] = run_session(shard, Setting()).state

    threads = [threading.Thread(target=work, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = run(how).state
    for name in ("W", "b"):
        np.testing.assert_array_equal(ends[0].parameters[name], ends[1].parameters[name])
        np.testing.assert_allclose(
            ends[0].parameters[name], whole.parameters[name], rtol=1e-12, atol=1e-14
        )


# Sessions


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("log", [1, 7])
def test_a_resumed_run_equals_one_that_never_stopped(
    tmp_path: Path, optimizer: str, log: int
) -> None:
    constants = {"rate": 0.3, **({"momentum": 0.5} if optimizer in ("sgd", "rmsprop") else {})}
    how = settings(
        optimizer={optimizer: constants},
        log=log,
        save=23,
        schedule=["cosine"],
        noise={"scale": 0.001},
        validation={"every": 5},
    )
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = run(how, Setting(tmp_path / "whole", validation=validation))
    stops = iter([*[False] * 30, True])
    parts = Setting(tmp_path / "parts", validation=validation)
    first = run(how, replace(parts, stopped=lambda: next(stops)))
    assert (first.ending, first.state.step) == ("interrupted", 31)
    kept = load(tmp_path / "parts" / "checkpoint" / "000031").state
    last = run(how, parts, state=kept)
    assert (last.ending, last.taken) == ("finished", 29)
    for name in ("W", "b"):
        np.testing.assert_array_equal(whole.state.parameters[name], last.state.parameters[name])
        for slot, arrays in whole.state.slots.items():
            np.testing.assert_array_equal(arrays[name], last.state.slots[slot][name])
    assert whole.state.counters == last.state.counters
    assert 0 < whole.clipped[0] < 60
    files = [tmp_path / name / "metrics.jsonl" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    for file in ("parameters", "optimizer", "carry", "best"):
        ends = [
            tmp_path / n / "checkpoint/000060" / f"{file}.safetensors" for n in ("whole", "parts")
        ]
        assert ends[0].read_bytes() == ends[1].read_bytes()


def test_records_are_means_over_some_steps(tmp_path: Path) -> None:
    single, means = [], []
    run(settings(steps=10), Setting(writers=[Listed(single)]))
    run(settings(steps=10, log=4), Setting(tmp_path, writers=[Listed(means)]))
    assert [r["step"] for r in means] == [4, 8]
    for name in ("loss", "gradient_norm", "clipped"):
        for i, record in enumerate(means):
            expected = np.mean([r[name] for r in single[4 * i : 4 * i + 4]])
            assert record[name] == pytest.approx(expected, rel=1e-14)
    assert read_metrics(tmp_path / "metrics.jsonl") == means


@dataclass(frozen=True)
class Listed:
    """A writer that keeps records in a list."""

    records: list[Any]

    def write(self, record: Mapping[str, Any]) -> None:
        """Keep a record."""
        self.records.append(dict(record))

    def close(self) -> None:
        """Nothing is left open."""


def test_training_stops_when_a_callback_says_so() -> None:
    seen: list[int] = []

    def third(metrics: Metrics, begun: Trainer) -> bool:
        assert begun.taken == metrics.step
        seen.append(metrics.step)
        return metrics.step == 3

    outcome = run(settings(), Setting(callbacks=(third,)))
    assert (outcome.ending, outcome.state.step, seen) == ("early", 3, [1, 2, 3])


def test_validation_keeps_the_best_weights_and_stops_when_nothing_gets_better() -> None:
    how = settings(
        optimizer={"sgd": {"rate": 60.0}}, clip=None, validation={"every": 1, "patience": 4}
    )
    outcome = run(how, Setting(validation=validation))
    best = outcome.best
    assert best is not None and outcome.ending == "early"
    steps, losses = outcome.validated
    assert best.loss == min(losses) and best.step == steps[int(np.argmin(losses))]
    assert outcome.state.step == best.step + 4
    # Where patience has come to its end, it has also for a run that goes on from there.
    more = run(how, Setting(validation=validation), state=outcome.state)
    assert (more.ending, more.taken) == ("early", 0)
    again = run(settings(optimizer={"sgd": {"rate": 60.0}}, clip=None, steps=best.step))
    np.testing.assert_array_equal(best.parameters["W"], again.state.parameters["W"])


def test_a_step_that_is_not_finite_goes_back_to_the_last_good_weights() -> None:
    """Weights are good if their loss is known to be finite: those before the last step."""
    model = Bigrams(explode_at=5)
    begun = trainer(model, settings())
    seen = [begun.step() for _ in range(4)]
    good = {n: a.copy() for n, a in trainer_after(3).parameters.items()}
    failed = begun.step()
    assert [m.finite for m in (*seen, failed)] == [True] * 4 + [False]
    assert begun.failure is not None and begun.failure.step == 5
    assert begun.taken == 4
    begun.take_back()
    assert begun.taken == 3
    for name, array in good.items():
        np.testing.assert_array_equal(begun.parameters[name], array)
    first = trainer(Bigrams(explode_at=1), settings())
    assert not first.step().finite
    first.take_back()
    assert first.taken == 0


def trainer_after(steps: int) -> Trainer:
    """Return a trainer that has taken some steps."""
    begun = trainer(Bigrams(), settings())
    for _ in range(steps):
        begun.step()
    return begun


def test_sessions_are_noted(tmp_path: Path) -> None:
    run(settings(steps=3), Setting(tmp_path))
    (line,) = (tmp_path / "sessions.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["from_step"], noted["to_step"], noted["ending"]) == (0, 3, "finished")
