"""What is compiled again after an edit: only the kernels that it touches, and nothing for T or B.

Kernels are named by their text, so two models share those whose text is equal. The first tests
compare texts; the last one counts what the compiler really makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.backends import kept, listening
from unfold.backends.numba.backend import Numba
from unfold.backends.numba.compiler import STORE as store
from unfold.backends.numba.generate import blocks
from unfold.runs.domain import Domain

LSTM = """unfold: 1
name: char-lstm
axes: {t: 5}
sizes: {vocab: 7, hidden: 4}
inputs:
  x[t]: {category: vocab}
  y[t]: {category: vocab}
parameters:
  W: {shape: [4*hidden, hidden], init: orthogonal}
  U: [4*hidden, vocab]
  b: [4*hidden]
  V: [vocab, hidden]
  c: [vocab]
nodes:
  z[t]: W @ h[t-1] + U @ x[t] + b
  i[t], f[t], o[t], g[t]: split(z[t], 4)
  s[t]: sigmoid(f[t]) * s[t-1] + sigmoid(i[t]) * tanh(g[t])
  h[t]: sigmoid(o[t]) * tanh(s[t])
  logits[t]: V @ h[t] + c
loss: mean[t](cross_entropy(logits[t], y[t]))
"""
EDITS = {
    "the output's tanh": ("sigmoid(o[t]) * tanh(s[t])", "sigmoid(o[t]) * sin(s[t])"),
    "a gate": ("sigmoid(i[t]) * tanh(g[t])", "(1 - sigmoid(f[t])) * tanh(g[t])"),
    "the loss": (
        "mean[t](cross_entropy(logits[t], y[t]))",
        "mean[t](mse(logits[t], one_hot(y[t])))",
    ),
}


def texts(spec: str, **options: Any) -> set[str]:
    """Return the kernels of a model's training step."""
    model = unfold.loads(spec, **options)
    program = model.pipeline.adjoint(tuple(model.init()), state=True)
    plan = model._execution.planned(program, Domain(program), Numba.target)
    return {b.text for b in blocks(plan, "float32")}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_one_equation_changes_a_few_kernels(name: str) -> None:
    before, after = texts(LSTM), texts(LSTM.replace(*EDITS[name]))
    assert before != after
    assert len(after - before) <= 3, (len(after - before), len(after))
    assert len(after & before) >= len(before) - 3


def test_names_are_no_part_of_a_kernel() -> None:
    renamed = LSTM
    for old, new in (
        ("hidden", "units"),
        ("vocab", "letters"),
        ("logits", "scores"),
        ("z[t]", "zz[t]"),
    ):
        renamed = renamed.replace(old, new)
    assert texts(renamed) == texts(LSTM)


def test_another_length_is_the_same_kernels() -> None:
    assert texts(LSTM, axes={"t": 1000}) == texts(LSTM)


def step(model: unfold.Model, *, steps: int, batch: int) -> float:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 7, (batch, steps)) for _ in range(2))
    params = model.init(seed=0, dtype="float32")
    return model.value_and_grad(params, {"x": x, "y": y}, backend="numba")[0]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Use an empty store; give a list of how many kernels were to be compiled."""
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "_modules", {})
    kept.kernels.cache_clear()
    found: list[int] = []
    monkeypatch.setattr(listening, "listeners", [lambda done, count, kept: found.append(count)])
    yield found
    kept.kernels.cache_clear()


def test_the_compiler_makes_what_is_new(made: list[int]) -> None:

    def compiled(run: Any) -> int:
        made.clear()
        run()
        return max(made, default=0)

    model = unfold.loads(LSTM)
    compiled(lambda: step(model, steps=5, batch=3))
    assert compiled(lambda: step(model, steps=5, batch=3)) == 0
    assert compiled(lambda: step(model, steps=9, batch=1)) == 0
    assert compiled(lambda: step(model, steps=2, batch=17)) == 0
    assert compiled(lambda: step(unfold.loads(LSTM), steps=5, batch=3)) == 0
    edited = unfold.loads(LSTM.replace("* tanh(s[t])", "* sin(s[t])"))
    assert 1 <= compiled(lambda: step(edited, steps=5, batch=3)) <= 3


def test_nothing_is_compiled_a_second_time(made: list[int]) -> None:
    """Whether lengths come, the batch grows, or validation begins: all of it again is ready."""
    model = unfold.loads(LSTM)
    params = model.init(seed=0, dtype="float32")
    rng = np.random.default_rng(0)

    def everything() -> int:
        made.clear()
        for batch, lengths in ((3, None), (3, [5, 2, 4]), (17, None), (17, [5] * 17)):
            given = {n: rng.integers(0, 7, (batch, 5)) for n in ("x", "y")}
            own = None if lengths is None else {"t": np.array(lengths)}
            model.step(params, given, lengths=own, backend="numba")
            model.forward(params, given, lengths=own, backend="numba", state=False)
        return sum(count for count in made)

    assert everything() > 0
    assert everything() == 0
