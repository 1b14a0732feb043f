"""Running a spec without data once, on random inputs: forward, and backward where it has a loss."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from unfold.terminal.profile import repeat
from unfold.terminal.report import table
from unfold.terminal.task import Task
from unfold.terminal.train import Told
from unfold.training.data import random_inputs
from unfold.training.metrics import MetricsFile
from unfold.training.rules.clip import euclidean
from unfold.training.weights import Layout


def run_once(task: Task, folder: Path, dtype: str, told: Told) -> dict[str, Any]:
    """Run a spec without data forward, and backward where it has a loss, on random inputs."""
    model, settings, teller = task.model, task.train, told.teller
    parameters = model.init(seed=settings.seed, dtype=dtype)
    inputs = random_inputs(model.program, batch=4, seed=settings.seed, dtype=dtype)
    began, mode = time.perf_counter(), settings.mode_at(0)
    if model.program.loss is None:
        task.engine.forward(parameters, inputs, mode=mode, seed=settings.seed, state=False)
        seconds = time.perf_counter() - began
        if told.watch.on:
            repeat(lambda: task.engine.forward(parameters, inputs, mode=mode, state=False))
        teller.say(f"no data and no loss: ran forward on random inputs in {seconds:.2f} s")
        return {"outcome": "forward", "seconds": seconds}
    found = task.engine.step(parameters, inputs, mode=mode, seed=settings.seed, state=False)
    loss, gradients = float(found.loss), found.grads
    seconds = time.perf_counter() - began
    if told.watch.on:
        repeat(lambda: task.engine.step(parameters, inputs, mode=mode, state=False))
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
    whole = euclidean(Layout(gradients).gather(gradients))
    metrics = MetricsFile(folder / "metrics.jsonl")
    metrics.write({"step": 0, "loss": loss, "gradient_norm": whole})
    metrics.close()
    teller.say(f"no data: ran forward and backward on random inputs in {seconds:.2f} s")
    teller.fact("loss", f"{loss:.6f}\n")
    if not teller.quiet:
        shapes = {name: "×".join(map(str, p.shape)) or "1" for name, p in parameters.items()}
        rows = [(name, shapes[name], f"{norm:.3e}") for name, norm in norms.items()]
        table(("parameter", "shape", "norm of gradient"), rows, right=[2])
    return {"outcome": "once", "seconds": seconds, "loss": loss, "gradient_norms": norms}
