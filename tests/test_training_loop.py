"""The loop, checkpoints, sampling and run folders, with a hand-made model in place of the engine.

The model scores the next symbol by the present one, logits[t] = W[x[t]], and its state is half the
state before plus one. Its gradients are written out: nothing here depends on the engine.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from unfold.errors import DataError
from unfold.training.checkpoint import TrainingState, latest, load, save
from unfold.training.curve import draw_losses
from unfold.training.data import Batch, StreamSource
from unfold.training.data.text import Text
from unfold.training.folder import MetricsFile, create_run_folder, read_metrics, write_whole
from unfold.training.loop import Metrics, Shard, reduce, start, step, train
from unfold.training.optimizers import Sgd
from unfold.training.sample import LanguageModel, sample_text
from unfold.training.settings import ClipNorm, GenerateSettings, TrainSettings

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
    """The model; it remembers the carries it was given."""

    def __init__(self, symbols: int, *, explode_at: int | None = None) -> None:
        self.symbols, self.explode_at = symbols, explode_at
        self.carries: list[Arrays | None] = []
        self.seeds: list[int] = []

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return small weights."""
        shape = (self.symbols, self.symbols)
        return {"W": np.random.default_rng(seed).normal(0, 0.1, shape).astype(dtype)}

    def step(
        self,
        params: Arrays,
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
        logits = params["W"][x]
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        loss = float(-np.log(np.take_along_axis(p, y[..., None], -1)).mean())
        g = (p - np.eye(self.symbols)[y]) / y.size
        gradient = np.zeros_like(params["W"])
        np.add.at(gradient, x, g)
        s = np.broadcast_to(0.5 * state + 1.0, x.shape)[:, 0]
        return Result(loss, {"W": gradient}, {"s": s}, logits)

    def forward(self, params: Arrays, inputs: Arrays, *, carry: Arrays | None = None) -> Result:
        """Run forward."""
        return self.step(params, inputs, carry=carry)


TEXT = Text.of("abcabcabdabcabcabd" * 4)
SETTINGS = TrainSettings.model_validate(
    {"steps": 60, "optimizer": {"sgd": {"rate": 2.0}}, "clip": {"norm": 0.2}}
)


def source(length: int = 5) -> StreamSource:
    """Read the text in two rows."""
    half = len(TEXT.codes) // 2
    rows = np.stack([TEXT.codes[: half + 1], TEXT.codes[half - 1 : 2 * half]])
    return StreamSource({"x": rows[:, :-1], "y": rows[:, 1:]}, length)


def run(model: Bigrams, state: TrainingState, settings: TrainSettings) -> TrainingState:
    """Train to the end."""
    for after, _ in train(model, source(), state, settings):
        state = after
    return state


def test_the_loss_falls_and_the_state_is_carried() -> None:
    model = Bigrams(len(TEXT.vocabulary))
    losses = [m.loss for _, m in train(model, source(), start(model, SETTINGS), SETTINGS)]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(math.log(4), abs=0.1)
    assert losses[-1] < 0.5
    chunks = source().epoch
    assert [c is None for c in model.carries] == [i % chunks == 0 for i in range(60)]
    second = model.carries[2]
    assert second is not None
    np.testing.assert_array_equal(second["s"], [1.5, 1.5])
    assert len(set(model.seeds)) == 60


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    whole = run(Bigrams(4), start(Bigrams(4), SETTINGS), SETTINGS)
    half = run(Bigrams(4), start(Bigrams(4), SETTINGS), SETTINGS.model_copy(update={"steps": 23}))
    kept = save(half, tmp_path / "checkpoint", {"vocabulary": TEXT.vocabulary})
    resumed = run(Bigrams(4), load(kept), SETTINGS)
    np.testing.assert_array_equal(whole.parameters["W"], resumed.parameters["W"])
    for slot, arrays in whole.optimizer.slots.items():
        np.testing.assert_array_equal(arrays["W"], resumed.optimizer.slots[slot]["W"])
    assert (whole.step, whole.clipped) == (resumed.step, resumed.clipped)
    assert 0 < whole.clipped < 60


def test_training_stops_when_asked_and_after_a_step_that_is_not_finite() -> None:
    model = Bigrams(4)
    asked = [True, False, False]
    seen = list(train(model, source(), start(model, SETTINGS), SETTINGS, asked.pop))
    assert [m.step for _, m in seen] == [1, 2, 3]
    model = Bigrams(4, explode_at=3)
    seen = list(train(model, source(), start(model, SETTINGS), SETTINGS))
    assert [m.finite for _, m in seen] == [True, True, False]
    assert seen[-1][0].step == 2
    assert seen[-1][0] is seen[-2][0]


def test_two_shards_reduce_to_the_whole_batch() -> None:
    model, state, batch = Bigrams(4), start(Bigrams(4), SETTINGS), source().batch(0)
    whole = model.step(state.parameters, batch.inputs)
    parts = []
    for rows in (slice(0, 1), slice(1, 2)):
        part = model.step(state.parameters, {n: a[rows] for n, a in batch.inputs.items()})
        parts.append(Shard(part.loss, part.grads, part.carry, 1))
    loss, gradients = reduce(parts)
    assert loss == pytest.approx(whole.loss, rel=1e-14)
    np.testing.assert_allclose(gradients["W"], whole.grads["W"], rtol=1e-13, atol=1e-16)
    loss, gradients = reduce([replace(parts[0], sequences=3), parts[1]])
    assert loss == pytest.approx(0.75 * parts[0].loss + 0.25 * parts[1].loss, rel=1e-14)


def test_metrics_report_the_norm_before_clipping() -> None:
    state = start(Bigrams(4), SETTINGS)
    tight = SETTINGS.model_copy(update={"clip": ClipNorm(norm=1e-3), "optimizer": Sgd(1.0)})
    after, metrics = step(Bigrams(4), source(), state, tight)
    moved = np.linalg.norm(after.parameters["W"] - state.parameters["W"])
    assert moved == pytest.approx(1e-3, rel=1e-9)
    assert metrics.gradient_norm > 1e-2
    assert (metrics.clipped, after.clipped) == (1.0, 1)


def test_checkpoints_are_whole_and_the_last_two_are_kept(tmp_path: Path) -> None:
    state = start(Bigrams(4), SETTINGS)
    state = replace(state, carry={"s": np.array(2.5), "c": np.arange(3)})
    assert latest(tmp_path / "none") is None
    for number in (5, 10, 15):
        save(replace(state, step=number), tmp_path, {"rate": 0.1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000010", "000015"]
    newest = latest(tmp_path)
    assert newest is not None
    again = load(newest)
    assert again.step == 15
    assert again.carry is not None
    assert again.carry["s"].shape == ()
    np.testing.assert_array_equal(again.carry["c"], np.arange(3))
    assert json.loads((newest / "state.json").read_text())["rate"] == 0.1
    (newest / "parameters.safetensors").write_bytes(b"not tensors")
    with pytest.raises(DataError, match="is not a checkpoint of unfold"):
        load(newest)


def test_a_failed_save_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = start(Bigrams(4), SETTINGS)
    save(replace(state, step=1), tmp_path, {})

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("unfold.training.checkpoint._flush", full)
    with pytest.raises(OSError, match="no space left"):
        save(replace(state, step=2), tmp_path, {})
    newest = latest(tmp_path)
    assert newest is not None
    assert newest.name == "000001"


LANGUAGE = LanguageModel("x", "y", "logits", 1.0)


def test_a_trained_model_writes_what_it_read() -> None:
    model = Bigrams(4)
    state = run(model, start(model, SETTINGS), SETTINGS)
    cold = GenerateSettings(length=30, temperature=0.05, prime="ca")
    written = sample_text(model, state.parameters, LANGUAGE, TEXT, cold)
    assert len(written) == 32
    assert written.startswith("cab")
    assert set(written[i : i + 2] for i in range(1, 31)) <= {"ab", "bc", "ca", "bd", "da"}
    assert written == sample_text(model, state.parameters, LANGUAGE, TEXT, cold)


def test_sampling_follows_the_probabilities_and_carries_the_state() -> None:
    model = Bigrams(4)
    parameters = {"W": np.log(np.tile([0.1, 0.2, 0.3, 0.4], (4, 1)))}
    settings = GenerateSettings(length=4000, seed=1)
    written = sample_text(model, parameters, LANGUAGE, TEXT, settings)
    shares = [written[1:].count(c) / 4000 for c in TEXT.vocabulary]
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.03)
    assert model.carries[0] is None
    assert all(c is not None for c in model.carries[1:])


def test_run_folders_are_numbered_and_their_names_are_safe(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert create_run_folder(root, "char-rnn").name == "char-rnn-1"
    (root / "char-rnn-7").mkdir()
    assert create_run_folder(root, "char-rnn").name == "char-rnn-8"
    assert create_run_folder(root, "../../etc/x y").parent == root
    assert create_run_folder(root, "..").name == "run-1"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make a run folder"):
        create_run_folder(tmp_path / "file", "x")


def test_files_of_a_run(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "é")
    write_whole(tmp_path / "a.txt", b"later")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"later"
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.write({"step": 1, "loss": 2.5, "bits": None})
    metrics.write({"step": 2, "loss": math.nan})
    metrics.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"step": 1, "loss": 2.5, "bits": None},
        {"step": 2, "loss": None},
    ]


def test_the_curve_is_an_svg_that_is_the_same_every_time() -> None:
    svg = draw_losses([3.0, 2.5, 2.0], title="a < b", guess=3.2)
    assert svg.startswith("<?xml")
    assert "a &lt; b" in svg
    assert "guessing: 3.200" in svg
    assert svg == draw_losses([3.0, 2.5, 2.0], title="a < b", guess=3.2)
    assert Metrics(1, 1.0, 1.0, 0.0).finite
    assert Batch({}, True).symbols == 0
