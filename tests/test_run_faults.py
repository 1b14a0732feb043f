"""What may happen to a run, caused for real: a full disk, a second process, damaged files, Ctrl-C.

Disks are small tmpfs file systems, which only root may mount; without, the tests that need one are
skipped, and say so.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.runs import PATIENCE, TINY, begin, run, traces, wait_for_steps
from unfold.cli import invoke
from unfold.training.metrics import read_metrics

LONG = ("--set", "train.steps=100000")
LARGE_FILE = 30_000  # bytes: more than any picture of the tiny spec has, less than its metrics


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the tiny spec."""
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path


@contextmanager
def disk(at: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of a given size."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
        reason = done.stderr.strip()
    except FileNotFoundError:
        done, reason = None, "there is no mount command"
    if done is None or done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {reason}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def one_run(folder: Path) -> Path:
    """Return the only run folder there is."""
    (found,) = [p for p in folder.iterdir() if p.name.startswith("tiny-")]
    return found


# The disk


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(place: Path) -> None:
    with disk(place / "small", 400) as small:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(200 * 1024))
        failed = run(place, "run", "tiny.yaml", "--runs", "small/runs", *LONG)
        folder = one_run(small / "runs")
        assert failed.returncode == 1, failed.stderr
        assert "no space left on device" in failed.stderr
        last = sorted(p.name for p in (folder / "checkpoint").iterdir() if p.name.isdigit())[-1]
        assert f"the last checkpoint is {last}" in failed.stderr
        goes_on = f"unfold run --resume {folder.relative_to(place)}"
        assert f"help: make room, then resume with  {goes_on}" in failed.stderr
        assert not list(folder.rglob("*.partial"))
        ballast.unlink()
        steps = int(last) + 5
        done = run(place, *goes_on.split()[1:], "--set", f"train.steps={steps}")
        assert done.returncode == 0, done.stderr
        records = [r for r in read_metrics(folder / "metrics.jsonl") if "loss" in r]
        assert [r["step"] for r in records] == list(range(1, steps + 1))


def test_a_disk_without_room_for_a_run_folder(place: Path) -> None:
    with disk(place / "small", 8) as small:
        (small / "ballast").write_bytes(bytes(8 * 1024))
        failed = run(place, "run", "tiny.yaml", "--runs", "small/runs")
        assert failed.returncode == 1
        assert "cannot create a run folder in small/runs: no space left on device" in failed.stderr
        assert "choose another place with --runs FOLDER" in failed.stderr


def test_a_file_that_may_not_grow_is_named(place: Path) -> None:
    """The kernel refuses to write more than a limit into one file: as a quota does."""

    process = begin(place, "run", "tiny.yaml", *LONG, "--set", "train.save=40")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LARGE_FILE, LARGE_FILE))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, out + err
    assert "file too large" in err
    assert "resume with  unfold run --resume runs/tiny-1" in err
    again = run(place, "run", "--resume", "runs/tiny-1", "--set", "train.steps=200")
    assert again.returncode == 0, again.stderr
    assert (place / "runs/tiny-1/checkpoint/000200").is_dir()


@contextmanager
def unwritable(at: Path) -> Iterator[Path]:
    """Make a folder that cannot be written to, also by root."""
    if os.geteuid():
        at.mkdir(exist_ok=True)
        at.chmod(0o555)
        yield at
        at.chmod(0o755)
        return
    with disk(at, 1024):
        done = run(at.parent, "run", "tiny.yaml", "--runs", f"{at.name}/old")
        assert done.returncode == 0, done.stderr
        subprocess.run(["mount", "-o", "remount,ro", str(at)], check=True)
        yield at


def test_a_folder_that_cannot_be_written_to(place: Path) -> None:
    with unwritable(place / "closed") as closed:
        failed = run(place, "run", "tiny.yaml", "--runs", "closed/runs")
        assert failed.returncode == 1
        words = (
            r"cannot create a run folder in closed/runs: (read-only file system|permission denied)"
        )
        assert re.search(words, failed.stderr), failed.stderr
        if (closed / "old").exists():
            failed = run(place, "run", "--resume", "closed/old/tiny-1")
            assert failed.returncode == 1
            assert "cannot write to closed/old/tiny-1: read-only file system" in failed.stderr


# A second process


def test_a_second_process_is_refused_and_the_first_one_saves_when_asked(place: Path) -> None:
    first = begin(place, "run", "tiny.yaml", *LONG)
    folder = place / "runs" / "tiny-1"
    wait_for_steps(first, folder, 5)
    second = run(place, "run", "--resume", "runs/tiny-1")
    assert second.returncode == 1, second.stderr
    assert f"runs/tiny-1 is in use by process {first.pid}" in second.stderr
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 130, err
    assert "resume with  unfold run --resume runs/tiny-1" in out
    assert len(list((folder / "checkpoint").iterdir())) == 2


def test_a_second_ctrl_c_stops_at_once(place: Path) -> None:
    """A step of the reference over 2,000 index points is long; nobody has to wait for its end."""
    slow = ("--set", "axis.t=2000", "--set", "data.text={string: " + "hello " * 1000 + "}")
    process = begin(place, "run", "tiny.yaml", *slow, "--set", "data.validation=0",
                    "--set", "train.validation=null")  # fmt: skip
    wait_for_steps(process, place / "runs" / "tiny-1", 1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "finishing this step" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT


# Damage


@dataclass(frozen=True)
class Said:
    """What a command in this process said: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `unfold` in this process, in the folder of the spec."""
    monkeypatch.chdir(place)

    def say(*arguments: str) -> Said:
        code = invoke([*arguments])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return say


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_checkpoint_is_found_and_the_one_before_it_used(here: Say, damage: str) -> None:
    assert here("run", "tiny.yaml", "--set", "train.steps=24").code == 0
    folder = Path("runs/tiny-1")
    expected = traces(folder)
    file = folder / "checkpoint/000024/optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x10
    file.write_bytes(content if damage == "altered" else content[:-100])
    said = here("run", "--resume", "runs/tiny-1")
    assert said.code == 0, said.err
    assert "runs/tiny-1/checkpoint/000024 is damaged: optimizer.safetensors" in said.err
    assert "using the previous one, 000021" in said.err
    assert "after 21 of 24 steps; 3 steps to go" in said.out
    assert traces(folder) == expected
    assert (folder / "checkpoint/000024.damaged").is_dir()


def test_a_checkpoint_of_another_spec_is_refused_and_the_difference_named(here: Say) -> None:
    assert here("run", "tiny.yaml").code == 0
    folder = Path("runs/tiny-1")
    spec = (folder / "spec.yaml").read_text()
    before = traces(folder)
    trained, now = "it was trained with  h[t] = tanh(h.3[t])", "the spec now has     h[t] = relu"
    for old, new, message in (
        ("h[t]: tanh(W", "h[t]: relu(W", [trained, now]),
        ("hidden: 3", "hidden: 4", ["parameter U is [3, 6], but the spec makes it [4, 6]"]),
        ("{adam: {rate: 0.05}}", "sgd", ["the optimiser's mean of U is [3, 6]", "it nothing"]),
        ("hello", "hellu", ["the text has different characters"]),
        ("hello. ", "hollo. ", ["the data differ from those it was trained on"]),
        ("  save: 3", "  seed: 3", ["was trained with the seed 0, but train.seed is now 3"]),
    ):
        assert old in spec
        (folder / "spec.yaml").write_text(spec.replace(old, new))
        said = here("run", "--resume", "runs/tiny-1")
        assert said.code == 1, new
        for words in message:
            assert words in said.err, (words, said.err)
    (folder / "spec.yaml").write_text(spec)
    assert traces(folder) == before
    said = here("run", "--resume", "runs/tiny-1", "--dtype", "float32")
    assert "has numbers of the type float64, but --dtype says float32" in said.err
    said = here("run", "--resume", "runs/tinny-1")
    assert "there is no such folder\n  help: did you mean runs/tiny-1?" in said.err
    said = here("run", "tiny.yaml", "--resume", "runs/tiny-1")
    assert "the run has its own spec; remove tiny.yaml" in said.err
    assert "expected a SPEC, or --resume RUN" in here("run").err


def test_a_run_remembers_what_its_command_line_said(here: Say) -> None:
    first = ("--dtype", "float32", "--set", "train.steps=6", "--mode", "teacher")
    assert here("run", "tiny.yaml", *first).code == 0
    said = here("run", "--resume", "runs/tiny-1", "--set", "train.steps=9")
    assert said.code == 0, said.err
    assert "after 6 of 9 steps" in said.out
    weights = load_file("runs/tiny-1/checkpoint/000009/parameters.safetensors")
    assert {a.dtype for a in weights.values()} == {np.dtype("float32")}
    assert "nothing left to do" in here("run", "--resume", "runs/tiny-1").out


# Numbers that are not finite

SQUARES = """\
unfold: 1
name: squares
axes: {t: 12}
inputs: {x[t]: []}
parameters: {w: {shape: [], init: {constant: 10}}}
nodes:
  a[t]: {is: "h[t-1] * h[t-1]", shape: []}
  h[t]: where(t == 0, w, a[t])
  p[t]: h[t] * 0.001
loss: mean[t](abs(p[t] - x[t]))
data: {random: true, batch: 3}
train: {steps: 9, optimizer: {sgd: {rate: 1.0e-3}}, save: 1}
"""
LINE = """\
unfold: 1
name: line
axes: {t: 4}
inputs: {x[t]: [], y[t]: []}
parameters: {w: {shape: [], init: ones}}
nodes: {p[t]: w * x[t]}
loss: mean[t](mse(p[t], y[t]))
data: {random: true, batch: 3}
train: {steps: 99, optimizer: {sgd: {rate: 1.0e+60}}, save: 1}
"""


def test_the_first_number_that_is_not_finite_is_named(here: Say) -> None:
    """10, 10², 10⁴ … 10²⁵⁶, and at t = 9 the square of that is too large for float64."""
    Path("squares.yaml").write_text(SQUARES)
    said = here("run", "squares.yaml")
    assert said.code == 1
    assert "stopped at step 1: the loss is" in said.out
    assert "the first value that is not finite is a[t=9] (inf, sequence 1 of 3)" in said.out
    assert "kept the weights after step 0" in said.out


def test_a_run_that_explodes_keeps_the_last_weights_whose_loss_was_finite(here: Say) -> None:
    Path("line.yaml").write_text(LINE)
    said = here("run", "line.yaml")
    assert said.code == 1
    step = int(re.findall(r"stopped at step (\d+)", said.out)[0])
    assert "the first value that is not finite is" in said.out
    assert f"kept the weights after step {step - 2}" in said.out
    folder = Path("runs/line-1")
    weights = load_file(folder / f"checkpoint/{step - 2:06d}/parameters.safetensors")
    assert np.isfinite(weights["w"])
    losses = [r["loss"] for r in read_metrics(folder / "metrics.jsonl")]
    assert len(losses) == step - 1 and np.isfinite(losses).all()
    # From there on, a smaller rate works.
    said = here("run", "--resume", str(folder), "--set", "train.optimizer.sgd.rate=1e-300")
    assert said.code == 0, said.out


def test_a_gradient_that_is_not_finite_is_named(here: Say) -> None:
    """The root of zero is zero, but its slope is infinite."""
    text = LINE.replace("w * x[t]", "sqrt(w * 0) * x[t]").replace("name: line", "name: root")
    Path("root.yaml").write_text(text)
    said = here("run", "root.yaml")
    assert said.code == 1
    assert re.search(r"step 1: the loss is [\d.]+, but its gradient is not finite for w", said.out)


def test_a_gradient_that_overflows_is_followed_backwards(here: Say) -> None:
    """k is 0 at every step; the slope of its root is infinite, and the last one comes first."""
    text = LINE.replace("nodes: {p[t]: w * x[t]}", ROOTS).replace(
        "mse(p[t], y[t])", "mse(k[last] * x[t], y[t])"
    )
    Path("roots.yaml").write_text(text.replace("name: line", "name: roots"))
    said = here("run", "roots.yaml")
    assert said.code == 1
    told = (
        "but its gradient is not finite for w; in the backward pass it was first the "
        "derivative of k[t=3] (inf"
    )
    assert told in said.out


def test_what_was_not_chosen_is_not_blamed(here: Say) -> None:
    """a is NaN at every step and chosen at none; q overflows at t = 1."""
    text = LINE.replace("nodes: {p[t]: w * x[t]}", UNCHOSEN).replace("p[t], y", "q[t], y")
    Path("unchosen.yaml").write_text(text.replace("name: line", "name: unchosen"))
    said = here("run", "unchosen.yaml")
    assert said.code == 1
    assert "the first value that is not finite is q[t=1] (inf, sequence 1 of 3)" in said.out


def test_a_derivative_behind_what_was_not_chosen_is_found(here: Say) -> None:
    """The slope of the root is infinite at all steps, and only that of t = 2 is chosen."""
    text = LINE.replace("nodes: {p[t]: w * x[t]}", SLOPE)
    Path("slope.yaml").write_text(text.replace("name: line", "name: slope"))
    said = here("run", "slope.yaml")
    assert said.code == 1
    told = (
        "gradient is not finite for w; in the backward pass it was first the derivative "
        "of k[t=2] (inf"
    )
    assert told in said.out


ROOTS = """nodes:
  k[t]: {is: "sqrt(k[t-1] + w * 0)", shape: []}"""
UNCHOSEN = """nodes:
  a[t]: log(x[t] * 0 - 1)
  p[t]: where(x[t] > 1000, a[t], w * x[t])
  q[t]: exp(p[t] * 0 + 1000 * t)"""
SLOPE = """nodes:
  k[t]: sqrt(w * t * 0)
  p[t]: where(t == 2, k[t], w * x[t])"""
