"""Time min-char-rnn in float32 beside the NumPy program, in turns.

    python -m benchmarks.min_char_rnn --rounds 10

What is timed is a whole iteration as `unfold run` does it: batch, forward, backward, clipping,
Adagrad, and a line of metrics.jsonl; against the program's (tests/min_char_rnn.py), which writes
nothing. Both read the built-in text from its beginning.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.min_char_rnn import Program
from unfold.shipped import find
from unfold.terminal.task import Task, prepare
from unfold.training.loop import Trainer, start
from unfold.training.session import Setting, run_session

SPEC = find("min-char-rnn")
OURS, THEIRS = 2000, 300


def main() -> None:
    """Take turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", default="float32")
    asked = parser.parse_args()
    task = prepare(str(SPEC), [f"train.steps={OURS}"], "numba", asked.dtype, None)
    assert task.text is not None
    weights = task.engine.init(seed=0)
    session(task, asked.dtype)  # compiles
    ours: list[float] = []
    steps: list[float] = []
    theirs: list[float] = []
    for _ in range(asked.rounds):
        program = Program(weights, task.text.codes)
        began = time.perf_counter()
        for _ in range(THEIRS):
            program.step()
        theirs.append((time.perf_counter() - began) / THEIRS)
        ours.append(session(task, asked.dtype))
        steps.append(gradients(task, asked.dtype))
    print(f"load {os.getloadavg()[0]:.1f}; microseconds per iteration, minimum (median)")
    for name, times in (
        ("NumPy program, float64", theirs),
        (f"unfold, {asked.dtype}, whole iteration", ours),
        (f"unfold, {asked.dtype}, of that model.step", steps),
    ):
        print(f"{name:42}{1e6 * min(times):9.1f} ({1e6 * statistics.median(times):.1f})")
    ratio = min(theirs) / min(ours)
    median = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
    print(f"ratio {ratio:.1f} (median of rounds {median:.1f}); goal 10")


def session(task: Task, dtype: str) -> float:
    """Return the seconds that a step of a run takes."""
    assert task.source is not None
    state = start(task.engine, task.train, dtype)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(task.engine, task.source, task.train, state)
        trainer.step()
        began = time.perf_counter()
        outcome = run_session(trainer, Setting(Path(folder)))
        return (time.perf_counter() - began) / outcome.taken


def gradients(task: Task, dtype: str) -> float:
    """Return the seconds that the forward and backward pass of a step takes."""
    assert task.source is not None
    parameters, batch = task.engine.init(seed=0, dtype=dtype), task.source.batch(1)
    carry = task.engine.step(parameters, task.source.batch(0).inputs).carry
    began = time.perf_counter()
    for _ in range(OURS):
        task.engine.step(parameters, batch.inputs, carry=carry)
    return (time.perf_counter() - began) / OURS


if __name__ == "__main__":
    main()
