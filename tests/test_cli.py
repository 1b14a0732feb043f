"""The command line: what each command prints, leaves behind and exits with.

Commands run in this process through `unfold.cli.invoke`; what is about processes (lazy imports,
start-up time, signals) runs `python -m unfold`.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tests.runs import PATIENCE, wait_for_steps
from unfold.cli import invoke
from unfold.errors import INTERRUPTED, MISTAKE, OURS, USAGE, BackendError
from unfold.training.metrics import read_metrics

HELLO = """\
unfold: 1
name: hello
about: The smallest character model.

axes: {t: 4}
sizes: {vocab: 9, hidden: 5}     # vocab comes from the text
inputs:
  x[t]: {category: vocab}
  target[t]: {category: vocab}
parameters:
  W: [hidden, hidden]
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  y[t]: V @ h[t]
loss: mean[t](cross_entropy(y[t], target[t]))
data: {text: {string: "hello hello hello hello."}, input: x, target: target, batch: 2}
train: {steps: 60, optimizer: {adam: {rate: 0.05}}, clip: {norm: 1}}
generate: {length: 11, temperature: 0.1, prompt: h}
"""

PLAIN = """\
unfold: 1
name: plain
axes: {t: 3}
sizes: {n: 2, m: 4}
inputs:
  x[t]: [n]
parameters:
  W: [m, m]
  U: [m, n]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
initial:
  h: learned
loss: sum[t](mse(h[t], 1))
"""

BAD = PLAIN.replace("W @ h[t-1]", "U @ h[t-1]")


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the character model, and work in its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "hello.yaml").write_text(HELLO)
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Run a command with --json; return its exit code and its document."""
    code = invoke([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


# --- run ---------------------------------------------------------------------------------------


def test_run_trains_and_leaves_a_run_folder(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", "hello.yaml"]) == 0
    printed = capsys.readouterr()
    folder = hello / "runs" / "hello-1"
    assert "24 characters, 6 different ones; guessing costs 1.792 (ln 6 per symbol)" in printed.out
    assert "bits/char" in printed.out
    assert "all files are in runs/hello-1" in printed.out
    assert "step  1/60   loss" in printed.err
    assert "step 60/60   loss" in printed.err

    metrics = read_metrics(folder / "metrics.jsonl")
    assert [m["step"] for m in metrics] == list(range(1, 61))
    assert metrics[0]["loss"] == pytest.approx(math.log(6), abs=0.7)
    assert metrics[-1]["loss"] < 0.8
    assert metrics[0]["bits_per_character"] == pytest.approx(metrics[0]["loss"] / math.log(2))
    assert set(metrics[0]) >= {"gradient_norm", "clipped", "smoothed_loss"}

    weights = load_file(folder / "checkpoint" / "000060" / "parameters.safetensors")
    assert {n: a.shape for n, a in weights.items()} == {"W": (5, 5), "U": (5, 6), "V": (6, 5)}
    state = json.loads((folder / "checkpoint" / "000060" / "state.json").read_text())
    assert state["vocabulary"] == " .ehlo"
    sample = (folder / "sample.txt").read_text()
    assert len(sample) == 13
    assert sample.startswith("hello")
    for name in ("graph-folded.svg", "graph-unfolded.svg", "loss.svg"):
        assert "<svg" in (folder / name).read_text()


def test_the_spec_of_a_run_loads_to_the_model_that_ran(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["size.hidden=3", "axis.t=5", "train.steps=2", "train.optimizer.adam.rate=0.5"]
    code, first = run_json(capsys, "run", "hello.yaml", *(f"--set={c}" for c in changes))
    assert code == 0
    text = (hello / first["folder"] / "spec.yaml").read_text()
    assert "sizes: {vocab: 6, hidden: 3}     # vocab comes from the text" in text
    assert yaml.safe_load(text.split("train:")[1].join(["train:", ""])) == {
        "train": {"steps": 2, "optimizer": {"adam": {"rate": 0.5}}, "clip": {"norm": 1}}
    }
    code, again = run_json(capsys, "run", str(hello / first["folder"] / "spec.yaml"))
    assert code == 0
    assert (again["first_loss"], again["last_loss"]) == (first["first_loss"], first["last_loss"])
    assert again["folder"] == "runs/hello-2"


def test_run_says_everything_in_json(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "run", "hello.yaml", "--set", "train.steps=3")
    assert code == 0
    assert document["ok"] is True
    assert document["outcome"] == "finished"
    assert document["steps"] == 3
    assert document["guessing_loss"] == pytest.approx(math.log(6))
    assert document["sample"].startswith("h")
    assert "checkpoint/000003/parameters.safetensors" in document["files"]


def test_run_without_data_goes_forward_and_backward_once(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", "plain.yaml"]) == 0
    assert "no data: ran forward and backward on random inputs" in capsys.readouterr().out
    code, document = run_json(capsys, "run", "plain.yaml")
    assert code == 0
    assert set(document["gradient_norms"]) == {"W", "U", "h.initial"}
    assert all(norm > 0 for norm in document["gradient_norms"].values())
    assert (hello / document["folder"] / "graph-unfolded.svg").exists()


def test_run_on_random_data_learns_its_batch(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PLAIN + "data: {random: true, batch: 3}\ntrain: {steps: 30, optimizer: adam}\n"
    (hello / "random.yaml").write_text(text)
    code, document = run_json(capsys, "run", "random.yaml")
    assert code == 0
    assert document["last_loss"] < document["first_loss"]
    assert document["sample"] is None
    assert document["bits_per_character"] is None


def test_a_run_that_diverges_keeps_its_last_good_state(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PLAIN.replace("tanh(W @ h[t-1] + U @ x[t])", "W @ h[t-1] + U @ x[t]")
    (hello / "wild.yaml").write_text(
        text + "data: {random: true}\ntrain: {steps: 500, optimizer: {sgd: {rate: 1000}}}\n"
    )
    with np.errstate(all="ignore"):
        assert invoke(["run", "wild.yaml"]) == 1
    assert "try a smaller rate, or clip" in capsys.readouterr().out
    (checkpoint,) = (hello / "runs" / "plain-1" / "checkpoint").iterdir()
    weights = load_file(checkpoint / "parameters.safetensors")
    assert all(np.isfinite(a).all() for a in weights.values())


def test_interrupting_a_run_saves_it(hello: Path) -> None:
    command = [sys.executable, "-m", "unfold", "run", "hello.yaml", "--set=train.steps=1000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = hello / "runs" / "hello-1"
    wait_for_steps(process, folder, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "finishing this step and saving" in err
    assert "interrupted: saved after" in out
    (checkpoint,) = (folder / "checkpoint").iterdir()
    assert int(checkpoint.name) == len(read_metrics(folder / "metrics.jsonl"))


def test_a_run_can_be_taken_up_again(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--set=train.steps=14", "--set=train.save=5"]
    _, whole = run_json(capsys, "run", "hello.yaml", *short)
    _, _ = run_json(capsys, "run", "hello.yaml", *short, "--set=train.steps=10")
    folder = hello / "runs" / "hello-2"
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 11, "loss": 9.0}\n{"step": 12, "lo')  # as a killed run leaves it
    code, resumed = run_json(capsys, "run", "runs/hello-2", "--set=train.steps=14")
    assert code == 0
    assert resumed["folder"] == "runs/hello-2"
    assert resumed["last_loss"] == whole["last_loss"]
    assert resumed["sample"] == whole["sample"]
    assert [m["step"] for m in read_metrics(folder / "metrics.jsonl")] == list(range(1, 15))
    assert sorted(p.name for p in (folder / "checkpoint").iterdir()) == ["000010", "000014"]
    for change, message in {
        "size.hidden=4": "parameter U is [5, 6], but the spec makes it [4, 6]",
        "train.optimizer=sgd": "the optimiser's mean of U is [5, 6], but the spec makes it nothing",
        "data.text={string: abcdh abcdh abcdh abcdh}": "the text has different characters",
    }.items():
        code, document = run_json(capsys, "run", "runs/hello-2", "--set", change)
        assert code == 1
        assert message in document["errors"][0]["message"]


# --- check -------------------------------------------------------------------------------------


def test_check_several_files(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "hello.yaml", "plain.yaml"]) == 0
    out = capsys.readouterr().out
    assert "hello.yaml  ok  t=4, 115 parameters" in out
    assert "plain.yaml  ok  t=3, 28 parameters" in out
    assert invoke(["check", "hello.yaml", "bad.yaml"]) == 1
    out = capsys.readouterr().out
    assert "bad.yaml:11:14: " in out
    assert "  h[t]: tanh(U @ h[t-1] + U @ x[t])" in out
    assert "^^^^^" in out
    assert "1 of 2 specs with errors" in out


def test_check_in_json(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "check", "plain.yaml", "bad.yaml")
    assert code == 1
    good, bad = document["specs"]
    assert (good["ok"], good["axes"], good["parameter_count"]) == (True, {"t": 3}, 28)
    (error,) = bad["errors"]
    assert (error["file"], error["line"], error["column"]) == ("bad.yaml", 11, 14)
    assert "U @ h[t-1]" in error["text"]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("steps: 60", "stps: 60", "19:9", "unknown key 'stps' in train"),
        ("steps: 60", "steps: many", "19:16", "train.steps: expected a whole number"),
        ("batch: 2", "batch: 0", "18:85", "data.batch: expected a number of at least 1, got 0"),
        ("input: x", "input: z", "18:59", "the spec has no input z"),
        ("prompt: h", "promt: h", "20:42", "unknown key 'promt' in generate"),
    ],
)
def test_check_reads_the_settings(
    hello: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    place: str,
    message: str,
) -> None:
    assert old in HELLO
    (hello / "hello.yaml").write_text(HELLO.replace(old, new))
    assert invoke(["check", "hello.yaml"]) == 1
    assert f"hello.yaml:{place}: {message}" in capsys.readouterr().out


# --- the other commands --------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["folded", "unfolded", "backward", "gradients", "compare"])
def test_render_views(hello: Path, capsys: pytest.CaptureFixture[str], view: str) -> None:
    assert invoke(["render", "hello.yaml", "--view", view, "--steps", "3"]) == 0
    assert capsys.readouterr().out == f"hello-{view}.svg\n"
    assert "<svg" in (hello / f"hello-{view}.svg").read_text()


def test_render_gradients_of_a_run(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "run", "hello.yaml")
    asked = ["render", f"{document['folder']}/spec.yaml", "--view", "gradients", "-o", "a.svg"]
    assert (code, invoke([*asked, "--run", document["folder"]])) == (0, 0)
    trained = (hello / "a.svg").read_text()
    assert invoke(asked) == 0
    assert trained != (hello / "a.svg").read_text()
    assert invoke([*asked, "--run", "nowhere"]) == 1


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.dot", b"digraph")]
)
def test_render_formats_go_by_the_suffix(
    hello: Path, capsys: pytest.CaptureFixture[str], name: str, start: bytes
) -> None:
    code, document = run_json(capsys, "render", "plain.yaml", "-o", name)
    assert code == 0
    content = (hello / name).read_bytes()
    assert start in content[:200]
    assert document == {"ok": True, "file": name, "bytes": len(content), "format": name[2:]}


def test_render_to_stdout(hello: Path) -> None:
    done = python("-m", "unfold", "render", "plain.yaml", "-o", "-", "--format", "dot")
    assert done.returncode == 0
    assert done.stdout.startswith("digraph") or "digraph" in done.stdout[:200]


def test_grad_agrees(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["grad", "plain.yaml"]) == 0
    assert "all gradients agree with central differences" in capsys.readouterr().out
    code, document = run_json(capsys, "grad", "hello.yaml", "--set", "size.hidden=3")
    assert code == 0
    assert [row["name"] for row in document["gradients"]] == ["W", "U", "V"]
    assert all(row["error"] < 1e-6 and row["norm"] > 0 for row in document["gradients"])
    code, document = run_json(capsys, "grad", "plain.yaml")
    assert [row["name"] for row in document["gradients"]] == ["W", "U", "h.initial", "x"]


def test_grad_finds_a_wrong_gradient(
    hello: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import unfold

    right = unfold.Model.value_and_grad

    def wrong(self: unfold.Model, *arguments: Any, **options: Any) -> Any:
        loss, gradients = right(self, *arguments, **options)
        return loss, {**gradients, "U": gradients["U"] * 1.0001}

    monkeypatch.setattr(unfold.Model, "value_and_grad", wrong)
    assert invoke(["grad", "plain.yaml"]) == 1
    out = capsys.readouterr().out
    assert "1 of 4 gradients are wrong" in out
    (line,) = [line for line in out.split("\n") if "WRONG" in line]
    assert line.split()[0] == "U"


def test_explain_prints_the_program_and_its_adjoint(
    hello: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["explain", "plain.yaml"]) == 0
    out = capsys.readouterr().out
    assert "h[t-1]" in out
    assert "h[t+1]" in out or "t+1" in out
    code, document = run_json(capsys, "explain", "plain.yaml")
    assert code == 0
    assert document["explanation"] in out
    assert "recurrent depth" in out
    assert document["measures"]["t"]["layers"] == {
        "recurrent_depth": "1",
        "feedforward_depth": "1",
        "recurrent_skip": "1",
    }
    assert document["cost"]["parameters"] > 0


def test_specs_lists_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "specs")
    assert code == 0
    names = {spec["name"] for spec in document["specs"]}
    assert {"hello", "char-rnn", "attention"} <= names
    assert invoke(["specs"]) == 0
    assert "Run one with" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "there", "missing"),
    [
        (["peephole"], "lstm-peephole", "gru"),
        (["ELMAN", "axis=t"], "char-rnn", "rnn-2d"),
        (["axis=i"], "rnn-2d", "tdnn"),
        (["family=depth"], "lstm-stack", "hello"),
        (["d_r>=2"], "gru", "lstm-stack"),
        (["d_r=1", "d_f=3", "s=inf"], "lstm-stack", "lstm-peephole"),
        (["parameters<100"], "hello", "char-rnn"),
        (["s<=1"], "hello", "tdnn"),
    ],
)
def test_specs_are_found_by_conditions(
    words: list[str], there: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run_json(capsys, "specs", *words)
    names = {spec["name"] for spec in document["specs"]}
    assert code == 0 and there in names and missing not in names


@pytest.mark.parametrize("word", ["colour=red", "family>depth", "d_r=deep", "s=1/0"])
def test_a_condition_that_means_nothing_is_explained(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["specs", word]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{word}: ") and "family=depth" in told


def test_a_packaged_spec_goes_by_its_name(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (hello / "hello.yaml").unlink()
    assert invoke(["check", "hello"]) == 0
    assert invoke(["check", "helo"]) == 1
    assert "did you mean hello?" in capsys.readouterr().out


def test_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "json-schema.org" in schema["$schema"]
    assert "nodes" in schema["properties"]


# --- mistakes, failures, start-up ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml"], "none.yaml"),
        (["run", "hello.yaml", "--set", "hidden=3"], "--set hidden=3: expected"),
        (["run", "hello.yaml", "--set", "size.hidden"], "expected KEY=VALUE"),
        (["run", "hello.yaml", "--set", "size.hidden=-3"], "a positive whole number, got '-3'"),
        (["run", "hello.yaml", "--set", "size.hiden=3"], "hiden"),
        (["run", "hello.yaml", "--set", "size.hidden=2147483649"], "between 1 and 2147483648"),
        (["run", "hello.yaml", "--set", "axis.u=3"], "u"),
        (["run", "hello.yaml", "--set", "train.steps={"], "--set train.steps={: "),
        (["run", "hello.yaml", "--set", "train.steps=no"], "train.steps: expected a whole number"),
        (["run", "hello.yaml", "--set", "generate.prompt=z"], "has no character 'z'"),
        (["run", "hello.yaml", "--mode", "fre"], "expected teacher, free or scheduled:P"),
        (["run", "hello.yaml", "--backend", "cuda"], "cuda"),
        (["run", "hello.yaml", "--dtype", "int8"], "--dtype"),
        (["run", "hello.yaml", "--runs", "hello.yaml"], "cannot create a run folder"),
        (["run", "bad.yaml"], "bad.yaml:11:14"),
        (["render", "hello.yaml", "--view", "fold"], "--view: expected one of folded"),
        (["render", "hello.yaml", "-o", "a.gif"], "-o a.gif: expected one of svg"),
        (["render", "hello.yaml", "-o", "none/a.svg"], "none/a.svg: no such file or directory"),
    ],
)
def test_a_users_mistake_exits_with_1_and_says_what(
    hello: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    says(capsys, MISTAKE, arguments, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grad", "hello.yaml", "--batch", "0"], "--batch"),
        (["chek", "hello.yaml"], "Did you mean 'check'"),
        (["check"], "Missing argument"),
        (["check", "hello.yaml", "--plan"], "--plan"),
    ],
)
def test_a_command_line_that_does_not_exist_exits_with_2(
    hello: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    says(capsys, USAGE, arguments, message)


def says(
    capsys: pytest.CaptureFixture[str], expected: int, arguments: list[str], message: str
) -> None:
    """Compare what a command exits with, and look for a message, in words and in JSON."""
    assert invoke(arguments) == expected
    printed = capsys.readouterr()
    assert message in printed.out + printed.err
    assert "Traceback" not in printed.err
    code, document = run_json(capsys, *arguments)
    assert code == expected
    assert document["ok"] is False


@pytest.mark.parametrize("key", ["size.hidden", "axis.t"])
def test_set_of_5000_digits(hello: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    assert invoke(["check", "hello.yaml", "--set", f"{key}={'9' * 5000}"]) == 1
    assert capsys.readouterr().err == f"--set {key}=…: a number of 5,000 digits is too large\n"
    assert invoke(["check", "hello.yaml", "--set", f"{key}={'0' * 5000}3"]) == 0


def test_our_own_failure_exits_with_70(
    hello: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a slip of ours")

    monkeypatch.setattr("unfold.commands.check.read_changes", broken)
    assert invoke(["check", "hello.yaml"]) == 70
    err = capsys.readouterr().err
    assert "internal error in unfold: TypeError: a slip of ours" in err
    assert "UNFOLD_DEBUG=1" in err
    assert "Traceback" not in err
    monkeypatch.setenv("UNFOLD_DEBUG", "1")
    assert invoke(["check", "hello.yaml"]) == 70
    assert "Traceback" in capsys.readouterr().err
    code, document = run_json(capsys, "check", "hello.yaml")
    assert (code, document["internal"]) == (70, True)


def test_a_backend_that_fails_exits_with_70_and_shows_the_kernel(
    hello: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BackendError("the kernel k1.py does not compile: a slip of ours")

    monkeypatch.setattr("unfold.commands.check.read_changes", broken)
    assert invoke(["check", "hello.yaml"]) == OURS
    err = capsys.readouterr().err
    assert err.startswith("the kernel k1.py does not compile: a slip of ours\nPlease report it")
    code, document = run_json(capsys, "check", "hello.yaml")
    assert (code, document["internal"]) == (OURS, True)


def test_ctrl_c_exits_with_130(
    hello: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("unfold.commands.check.read_changes", stopped)
    assert invoke(["check", "hello.yaml"]) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_without_arguments_it_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == 0
    assert "unfold run char-rnn" in capsys.readouterr().out
    assert invoke(["--version"]) == 0
    assert capsys.readouterr().out.startswith("unfold 0.")


def test_a_closed_pipe_is_no_failure(hello: Path) -> None:
    command = f"{sys.executable} -m unfold schema | head -c 1"
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, env={**os.environ})
    assert done.stdout == "{"
    assert done.stderr == ""
