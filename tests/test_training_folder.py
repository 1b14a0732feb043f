"""Run folders, checkpoints, metrics and loss curves as files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unfold.errors import DataError
from unfold.files import write_whole
from unfold.training.checkpoint import Best, TrainingState, latest, load, newest, save
from unfold.training.curve import MOST, Curve, draw_losses
from unfold.training.folder import create_run_folder
from unfold.training.metrics import MetricsFile, read_metrics

STATE = TrainingState(
    step=5,
    parameters={"W": np.arange(6.0).reshape(2, 3), "b": np.float32([1.5])},
    slots={"mean": {"W": np.ones((2, 3))}},
    carry={"s": np.array(2.5), "c": np.arange(3)},
    counters={"smoothed_loss": 0.1, "clipped_steps": 3},
    best=Best(4, 0.25, 1, {"W": np.zeros((2, 3))}),
)


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    found = load(save(STATE, tmp_path, {"rate": 0.1}))
    state = found.state
    assert found.facts["rate"] == 0.1
    assert (state.step, state.counters) == (5, STATE.counters)
    np.testing.assert_array_equal(state.parameters["W"], STATE.parameters["W"])
    assert state.parameters["b"].dtype == np.float32
    np.testing.assert_array_equal(state.slots["mean"]["W"], np.ones((2, 3)))
    assert state.carry is not None and state.carry["s"].shape == ()
    np.testing.assert_array_equal(state.carry["c"], np.arange(3))
    best = state.best
    assert best is not None and (best.step, best.loss, best.misses) == (4, 0.25, 1)
    assert not best.parameters["W"].any()


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    assert latest(tmp_path / "none") is None and newest(tmp_path / "none") is None
    for number in (5, 10, 15):
        save(replace(STATE, step=number), tmp_path, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000010", "000015"]
    save(replace(STATE, step=15, counters={}), tmp_path, {})
    assert load(tmp_path / "000015").state.counters == {}
    save(replace(STATE, step=12), tmp_path, {})  # after steps that were taken back
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000010", "000012"]


def test_checkpoints_say_what_sha256sum_reads(tmp_path: Path) -> None:
    folder = save(STATE, tmp_path, {})
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in sums}
    assert names == {p.name for p in folder.iterdir()} - {"SHA256SUMS"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:-1]), "differs from what was written"),
        (lambda f: f.write_bytes(b"x" + f.read_bytes()[1:]), "differs from what was written"),
        (lambda f: f.unlink(), "is missing"),
    ],
    ids=["cut", "changed", "gone"],
)
@pytest.mark.parametrize("file", ["parameters.safetensors", "best.safetensors", "state.json"])
def test_damage_is_found_and_the_one_before_is_used(
    tmp_path: Path, file: str, damage: type, message: str
) -> None:
    save(STATE, tmp_path, {})
    bad = save(replace(STATE, step=9), tmp_path, {})
    damage(bad / file)
    told: list[str] = []
    found = newest(tmp_path, told.append, move=True)
    assert found is not None and found.state.step == 5
    assert f"{file}" in told[0] and message in told[0]
    assert "using the previous one, 000005" in told[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000005", "000009.damaged"]
    damage(tmp_path / "000005" / file)
    with pytest.raises(DataError, match="no checkpoint is complete"):
        newest(tmp_path)


def test_the_sums_cannot_be_left_out(tmp_path: Path) -> None:
    folder = save(STATE, tmp_path, {})
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(DataError, match="does not list parameters"):
        load(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match="it has no SHA256SUMS"):
        load(folder)


def test_run_folders_are_numbered_and_their_names_are_safe(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert create_run_folder(root, "char-rnn").name == "char-rnn-1"
    (root / "char-rnn-7").mkdir()
    assert create_run_folder(root, "char-rnn").name == "char-rnn-8"
    assert create_run_folder(root, "../../etc/x y").parent == root
    assert create_run_folder(root, "..").name == "run-1"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot create a run folder"):
        create_run_folder(tmp_path / "file", "x")


def test_a_run_folder_has_its_first_files_from_its_first_moment(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        assert folder.name.startswith(".")
        (folder / "spec.yaml").write_text("unfold: 1\n")

    folder = create_run_folder(tmp_path, "x", write)
    assert (folder / "spec.yaml").read_text() == "unfold: 1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["x-1"]


def test_files_of_a_run(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "é")
    write_whole(tmp_path / "a.txt", b"later")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"later"


def test_metrics_of_steps_after_a_checkpoint_are_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(file)
    metrics.write({"step": 1, "loss": 2.5, "bits": None})
    metrics.write({"step": 2, "loss": math.nan})
    metrics.write({"step": 2, "validation_loss": 1.5, "best": True})
    metrics.write({"step": 3, "loss": 1.25})
    metrics.close()
    with file.open("a") as handle:
        handle.write('{"step": 4, "lo')
    assert read_metrics(file)[1:3] == [
        {"step": 2, "loss": None},
        {"step": 2, "validation_loss": 1.5, "best": True},
    ]
    assert [r["step"] for r in read_metrics(file)] == [1, 2, 2, 3]
    again = MetricsFile(file, keep=2)
    assert (list(again.steps), list(again.losses)) == ([1], [2.5])
    assert [list(v) for v in again.validated] == [[2], [1.5]]
    again.write({"step": 3, "loss": 1.0})
    again.close()
    assert [r.get("loss") for r in read_metrics(file)] == [2.5, None, None, 1.0]


def test_the_curve_is_an_svg_that_is_the_same_every_time() -> None:
    curve = Curve("a < b", [1, 2, 3], [3.0, 2.5, 2.0], ([2], [2.6]), 3.2, "nats")
    svg = draw_losses(curve).decode()
    assert svg.startswith("<?xml")
    for piece in ("a &lt; b", "guessing: 3.200", "validation", "loss (nats)"):
        assert piece in svg
    assert svg == draw_losses(curve).decode()
    assert draw_losses(curve, format="png").startswith(b"\x89PNG")


def test_a_long_curve_has_few_points_and_keeps_its_mean() -> None:
    losses = np.random.default_rng(0).random(10 * MOST)
    svg = draw_losses(Curve("long", range(1, 10 * MOST + 1), list(losses)))
    assert len(svg) < 60 * MOST
    assert len(draw_losses(Curve("none", [], []))) > 0
