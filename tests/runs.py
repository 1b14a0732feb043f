"""Real runs of a tiny spec in processes of their own, for tests of what may happen to them.

The spec has everything that a checkpoint has to keep: an optimiser with slots, a carried state,
dropout, a schedule, noise, validation with the best weights.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TINY = """\
unfold: 1
name: tiny
axes: {t: 4}
sizes: {vocab: 6, hidden: 3}
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters:
  W: {shape: [hidden, hidden], init: orthogonal}
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ dropout(h[t], rate=0.2)
loss: mean[t](cross_entropy(o[t], y[t]))
data: {text: {string: "hello hello hello hello hello hello. "}, input: x, target: y, batch: 2,
       validation: 10}
train:
  steps: 40
  optimizer: {adam: {rate: 0.05}}
  schedule: [{warmup: 5}, cosine]
  clip: {norm: 1}
  noise: {scale: 1.0e-6}
  validation: {every: 6}
  save: 3
generate: {length: 12}
"""

PATIENCE = 600.0  # seconds for what takes three on a quiet machine


def command(*arguments: str) -> list[str]:
    """Return the command line of `unfold` with some arguments."""
    return [sys.executable, "-m", "unfold", *arguments]


def begin(folder: Path, *arguments: str, backend: str = "reference", **options: object):  # type: ignore[no-untyped-def]
    """Start `unfold` in a folder."""
    environment = {**os.environ, "UNFOLD_BACKEND": backend, "NO_COLOR": "1"}
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def run(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run `unfold` in a folder to its end."""
    process = begin(folder, *arguments, **options)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{arguments} takes too long: {kill(process)}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def lines(file: Path) -> int:
    """Return how many lines a file has."""
    try:
        return file.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for_steps(process: subprocess.Popen[str], folder: Path, steps: int) -> None:
    """Wait until a run has reported some steps, or has ended."""
    deadline = time.monotonic() + PATIENCE
    while lines(folder / "metrics.jsonl") < steps:
        assert time.monotonic() < deadline, "the run does not report any steps"
        if process.poll() is not None:
            return
        time.sleep(0.002)


def kill(process: subprocess.Popen[str]) -> str:
    """End a process as the kernel does when memory is short; return what it had said."""
    process.send_signal(signal.SIGKILL)
    return "\n".join(process.communicate())


def traces(folder: Path, files: Sequence[str] = ()) -> dict[str, bytes]:
    """Return everything in a run folder that has to be the same for the same run."""
    (*_, last) = sorted(p for p in (folder / "checkpoint").iterdir() if p.name.isdigit())
    names = ["metrics.jsonl", "sample.txt", "loss.svg", "spec.yaml", *files]
    found = {name: (folder / name).read_bytes() for name in names}
    return found | {f"checkpoint/{p.name}": p.read_bytes() for p in sorted(last.iterdir())}
