"""`unfold.train` and loops of one's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.errors import DataError, SpecError, UnfoldError
from unfold.settings.train import TrainSettings
from unfold.training.data import Batch, make
from unfold.training.learner import Learner
from unfold.training.loop import Trainer, about
from unfold.training.metrics import Metrics, read_metrics

SPEC = """
unfold: 1
name: sums
axes: {t: 5}
inputs: {x[t]: [2], y[t]: []}
parameters: {W: [3, 3], U: [3, 2], v: [3]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  p[t]: v @ h[t]
loss: mean[t](mse(p[t], y[t]))
"""
TRAIN: dict[str, Any] = {"steps": 12, "optimizer": {"adam": {"rate": 0.05}}, "seed": 3}


def model() -> unfold.Model:
    """A small recurrent model."""
    return unfold.loads(SPEC)


def arrays(count: int = 9) -> dict[str, np.ndarray]:
    """Sequences and their running sums."""
    x = np.random.default_rng(0).standard_normal((count, 5, 2))
    return {"x": x, "y": x.sum(-1).cumsum(1) / 4}


def test_arrays_are_trained_on_in_batches() -> None:
    outcome = unfold.train(model(), arrays(), batch=4, **TRAIN)
    assert (outcome.ending, outcome.taken, len(outcome.losses)) == ("finished", 12, 12)
    assert outcome.losses[-1] < 0.6 * outcome.losses[0]
    again = unfold.train(model(), arrays(), batch=4, **TRAIN)
    for name, array in outcome.params.items():
        np.testing.assert_array_equal(array, again.params[name])
    other = unfold.train(model(), arrays(), batch=4, **{**TRAIN, "seed": 4})
    assert (other.params["W"] != outcome.params["W"]).any()


def test_sequences_may_have_lengths_of_their_own() -> None:
    """What lies beyond the end of a sequence changes nothing."""
    found = []
    for beyond in (0.0, 1e6):
        data = arrays()
        lengths = np.array([5, 4, 3, 2, 1, 5, 4, 3, 2])
        for array in data.values():
            array[np.arange(5) >= lengths[:, None]] = beyond
        found.append(unfold.train(model(), data, batch=4, lengths={"t": lengths}, **TRAIN))
    np.testing.assert_array_equal(found[0].params["W"], found[1].params["W"])


def test_parameters_may_be_given_and_are_not_changed() -> None:
    begin = model().init(seed=7)
    before = {n: a.copy() for n, a in begin.items()}
    outcome = unfold.train(model(), arrays(), params=begin, dtype="float32", **TRAIN)
    for name, array in before.items():
        np.testing.assert_array_equal(begin[name], array)
        assert outcome.params[name].dtype == np.float32
    loss = model().forward(begin, arrays()).loss
    assert outcome.losses[0] == pytest.approx(loss, rel=1e-5)


def test_callbacks_see_every_step_and_may_end_the_training() -> None:
    seen: list[tuple[int, float]] = []

    def look(metrics: Metrics, trainer: Trainer) -> bool:
        seen.append((metrics.step, float(np.abs(trainer.parameters["W"]).sum())))
        return metrics.step == 5

    outcome = unfold.train(model(), arrays(), callbacks=[look], **TRAIN)
    assert (outcome.ending, outcome.state.step) == ("early", 5)
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5]
    assert seen[-1][1] == pytest.approx(np.abs(outcome.params["W"]).sum())


def test_a_call_that_is_made_again_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(metrics: Metrics, trainer: Trainer) -> None:
        if metrics.step == 8:
            raise Interrupted

    how = {**TRAIN, "save": 3, "batch": 4, "schedule": "cosine"}
    whole = unfold.train(model(), arrays(), folder=tmp_path / "whole", **how)
    with pytest.raises(Interrupted):
        unfold.train(model(), arrays(), folder=tmp_path / "x", callbacks=[interrupt], **how)
    assert (tmp_path / "x/checkpoint/000006").is_dir()
    again = unfold.train(model(), arrays(), folder=tmp_path / "x", **how)
    assert again.taken == 6
    np.testing.assert_array_equal(again.params["W"], whole.params["W"])
    files = [(tmp_path / n / "metrics.jsonl").read_bytes() for n in ("x", "whole")]
    assert files[0] == files[1]
    assert again.losses == whole.losses


def test_data_of_every_kind(tmp_path: Path) -> None:
    made = make.arrays(arrays(12), batch=4, validation=4)
    outcome = unfold.train(model(), made, **TRAIN, validation={"every": 4})
    assert list(outcome.validated[0]) == [4, 8, 12]
    assert outcome.best is not None and outcome.best.loss == min(outcome.validated[1])

    class Own:
        """Batches of one's own: any function of the step."""

        batch_size, epoch = 3, None

        def batch(self, step: int) -> Batch:
            draw = np.random.default_rng(step).standard_normal((3, 5, 2))
            return Batch({"x": draw, "y": draw.sum(-1).cumsum(1)}, fresh=True)

    drawn = unfold.train(model(), Own(), **TRAIN)
    assert drawn.taken == 12
    spec = SPEC + "data: {random: true, batch: 2}\ntrain: {steps: 3}\n"
    assert unfold.train(unfold.loads(spec)).taken == 3
    assert unfold.train(unfold.loads(spec), steps=4).taken == 4


def test_rows_begin_anew_where_their_sequence_does() -> None:
    """Sequences read in chunks side by side have the states of sequences read as a whole."""
    data = arrays(4)
    lengths = np.array([5, 3, 4, 2])
    for array in data.values():
        array[np.arange(5) >= lengths[:, None]] = 0.0
    made = make.arrays({**data, "n": lengths}, lengths={"t": "n"}, batch=2)
    chunked = made.batches(model().program, chunk={"t": 2}).train
    params, carry, settings = model().init(seed=1), None, TrainSettings()
    found: list[np.ndarray] = []
    learner = Learner(model())
    for step in range(4):
        batch = chunked.batch(step)
        assert batch.begins is not None
        carry = None if batch.fresh else carry
        run = learner.forward(params, batch.inputs, carry=carry, **about(batch, settings))
        carry = dict(run.carry)
        found += [run["h"][row, n - 1] for row, n in enumerate(batch.lengths["t"])]
    whole = model().forward(params, data, lengths={"t": lengths})["h"]
    for state in found:
        assert np.isclose(whole, state, rtol=1e-12).all(-1).any(), state


def test_event_files_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    unfold.train(model(), arrays(), folder=tmp_path, tensorboard=True, **TRAIN)
    (file,) = tmp_path.glob("events.out.tfevents.*")
    found: dict[int, float] = {}
    content, place = file.read_bytes(), 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 8], "little")
        event = Event.FromString(content[place + 12 : place + 12 + size])
        for value in event.summary.value:
            if value.tag == "loss":
                found[event.step] = value.simple_value
        place += 16 + size
    losses = [r["loss"] for r in read_metrics(tmp_path / "metrics.jsonl")]
    assert list(found) == list(range(1, 13))
    np.testing.assert_allclose(list(found.values()), losses, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, SpecError, "train.steps: expected a number of at least 1, got 0"),
        ({"optimiser": "adam"}, SpecError, "unknown key 'optimiser' in train"),
        ({"dtype": "float16"}, DataError, "dtype 'float16': expected one of float32, float64"),
        ({"params": {}}, DataError, "params lacks W"),
        ({"validation": {"every": 2}}, DataError, "the data have no validation part"),
        ({"data": None}, SpecError, "sums has no data"),
        ({"data": {"x": np.zeros((2, 5, 2))}}, UnfoldError, "y"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], error: type, message: str) -> None:
    data = options.pop("data", arrays())
    with pytest.raises(error, match=message):
        unfold.train(model(), data, **options)


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    unfold.train(model(), arrays(), folder=tmp_path, **TRAIN)
    other = unfold.loads(SPEC.replace("tanh(W", "relu(W"))
    with pytest.raises(DataError, match="checkpoint of a different spec"):
        unfold.train(other, arrays(), folder=tmp_path, **TRAIN)
    with pytest.raises(DataError, match="the data differ from those it was trained on"):
        unfold.train(model(), arrays(8), folder=tmp_path, **TRAIN)


def example(name: str) -> ModuleType:
    """Load a script of `examples/`."""
    file = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNFOLD_BACKEND", "numba")
    first, last = example("own_loop").main()
    assert last < 0.1 * first
    assert example("train_in_python").main() > 0.95
