"""Truncated backpropagation through time, against one long graph that is cut by hand.

Chunk by chunk, with the state carried, gradients must add up to those of the whole sequence in
which every path back beyond the window is cut by `stop_gradient`. With windows of one chunk that is
one run of the whole sequence, cut where chunks meet. With longer windows the loss of every chunk
has a cut of its own, so there is one such run for every chunk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from differential.interpreted import InterpretedEngine
from gradients import sample

import unfold
from unfold.training.data.batches import Batch, ChunkSource, Source, row_order
from unfold.training.data.binding import Binding, Part
from unfold.training.data.columns import Column, Examples
from unfold.training.data.windows import WindowSource

HEAD = "unfold: 1\nname: cut\n"
STEPS = 9

SPECS = {
    "learned": """
axes: {t: 9}
inputs: {x[t]: [2], y[t]: [3]}
parameters: {W: [3,3], U: [3,2], V: [3,3]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
initial: {h: learned}
loss: mean[t](mse(o[t], y[t]))
""",
    "delays": """
axes: {t: 9}
inputs: {x[t]: [2], y[t]: [2]}
parameters: {W: [2,2], V: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-3] + V @ h[t-1] + x[t])
  g[t]: h[t] * g[t-1] + h[t-2]
initial: {h: learned, g: 0.5}
loss: sum[t](g[t] @ y[t])
""",
    "two layers": """
axes: {t: 9}
inputs: {x[t]: [2], y[t]: {category: 3}}
parameters: {W: [2,2], A: [3,2], R: [3,3], c: [2]}
nodes:
  h[t]: tanh(W @ h[t-1] + x[t])
  g[t]: tanh(R @ g[t-1] + A @ h[t])
initial: {h: tanh(c), g: learned}
loss: mean[t](cross_entropy(g[t], y[t]))
""",
    "lstm": """
axes: {t: 9}
inputs: {x[t]: [2], y[t]: [3]}
parameters: {W: [12,3], U: [12,2], b: [12]}
nodes:
  i[t], f[t], o[t], c[t]: split(W @ h[t-1] + U @ x[t] + b, 4)
  s[t]: sigmoid(f[t]) * s[t-1] + sigmoid(i[t]) * tanh(c[t])
  h[t]: sigmoid(o[t]) * tanh(s[t])
initial: {h: zeros, s: learned}
loss: mean[t](mse(h[t], y[t])) + 0.1 * sum[t](s[t] @ s[t])
""",
    "feedback": """
axes: {t: 9}
inputs: {x[t]: [2], y[t]: [3]}
parameters: {W: [3,3], R: [3,3], U: [3,2], d: [3]}
nodes:
  before[t]: feedback(teacher=y[t-1], free=o[t-1])
  h[t]: tanh(W @ h[t-1] + R @ before[t] + U @ x[t])
  o[t]: 0.9 * h[t]
initial: {h: learned, y: tanh(d)}
loss: mean[t](mse(o[t], y[t]))
""",
}
FREE = ("feedback", "free")
CASES = [*((n, "teacher") for n in SPECS), FREE]


def made(text: str) -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    model, params, inputs, _ = sample(HEAD + text.strip(), {"t": STEPS}, seed=4)
    return model, params, inputs


def cut(text: str, points: Sequence[str]) -> str:
    """Return a spec in which no gradient goes from t >= p to before p, for any of some points p.

    A read r[t-d] becomes where(p <= t and t < p + d, stop_gradient(r[t-d]), r[t-d]). The points are
    inputs, one number per sequence, as are `low`, `high` (what the loss counts) and `n`.
    """

    def stopped(match: re.Match[str]) -> str:
        read, delay = match.group(0), int(match.group(1) or 1)
        crossed = " or ".join(f"(t >= {p} and t < {p} + {delay})" for p in points)
        return f"where({crossed}, stop_gradient({read}), {read})"

    head, rest = text.strip().split("nodes:\n")
    nodes, tail = rest.split("initial:")
    lines = [
        # What a feedback reads is stopped where it is read itself.
        line if "feedback(" in line else re.sub(r"\b[a-z]\[t-(\d)\]|before\[t\]", stopped, line)
        for line in nodes.splitlines()
    ]
    counted = "t >= low and t < high"
    tail = re.sub(r"mean\[t\]\((.*?\]\))\)", rf"(sum[t](where({counted}, \1, 0)) / n)", tail)
    tail = re.sub(r"sum\[t\]\((\w\[t\] @ \w\[t\])\)", rf"sum[t](where({counted}, \1, 0))", tail)
    own = "".join(f", {p}: []" for p in (*points, "low", "high", "n"))
    head = re.sub(r"inputs: \{(.*)\}", rf"inputs: {{\1{own}}}", head)
    return f"{HEAD}{head}nodes:\n" + "\n".join(lines) + f"\ninitial:{tail}"


def equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-13, err_msg=name)


# Windows of one chunk: one run of the long sequence


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_chunks_add_up_to_the_long_sequence_cut_where_they_meet(name: str, mode: str) -> None:
    every, (model, params, inputs) = 3, made(SPECS[name])
    carry, loss, grads = None, 0.0, {n: np.zeros_like(a) for n, a in params.items()}
    for start in range(0, STEPS, every):
        chunk = {n: a[:, start : start + every] for n, a in inputs.items()}
        found = model.step(params, chunk, carry=carry, mode=mode)
        carry, loss = found.carry, loss + found.loss
        grads = {n: g + found.grads[n] for n, g in grads.items()}
    batch = len(inputs["x"])
    numbers = {"p1": 3, "p2": 6, "low": 0, "high": STEPS, "n": every}
    whole = unfold.loads(cut(SPECS[name], ["p1", "p2"]))
    given = inputs | {n: np.full(batch, float(k)) for n, k in numbers.items()}
    expected_loss, expected = whole.value_and_grad(params, given, mode=mode)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-13)
    equal(grads, expected)
    plain = model.value_and_grad(params, inputs, mode=mode)[1]
    first = next(n for n in params if n in ("W", "W.0"))
    assert np.abs(plain[first] / (STEPS / every) - grads[first]).max() > 1e-6


# Windows of any length, rows that begin when they like: one run of the long sequences per chunk

LENGTHS = [9, 4, 7, 3, 5, 8]


def ragged(model: unfold.Model, every: int, overlap: int) -> tuple[ChunkSource, Source]:
    """Return three rows of sequences that begin at different times, and their windows."""
    rng = np.random.default_rng(5)
    columns = {}
    for value in model.program.inputs:
        if value.type.kind == "category":
            each = [rng.integers(0, int(value.type.shape[0]), n) for n in LENGTHS]
            columns[value.name] = Column.ragged(each, classes=int(value.type.shape[0]))
        else:
            flat = rng.standard_normal((sum(LENGTHS), *map(int, value.type.shape)))
            columns[value.name] = Column(flat, np.cumsum([0, *LENGTHS]))
    parts = tuple(
        Part(v.name, v.name, ("t",), v.type.kind == "category") for v in model.program.inputs
    )
    chunks = ChunkSource(Binding(parts, "float64"), Examples(columns), "t", every, 3, seed=1)
    return chunks, WindowSource(chunks, "t", overlap) if overlap else chunks


def long_sequences(
    chunks: ChunkSource, step: int, overlap: int
) -> tuple[dict[str, Any], list[int]]:
    """Return the whole sequences that the rows read at a step, and where to cut and to count."""
    found = []
    for row in range(3):
        through, place = divmod(step, len(row_order(chunks, row, 0)))
        found.append(row_order(chunks, row, through)[place])
    which, starts = np.array(found).T
    lengths = np.array(LENGTHS)[which]
    inputs: dict[str, Any] = {}
    for name, column in chunks.examples.columns.items():
        values, offsets = column.values, column.offsets
        assert offsets is not None
        array = np.zeros((3, max(LENGTHS), *values.shape[1:]), values.dtype)
        for row, n in enumerate(which):
            array[row, : lengths[row]] = values[offsets[n] : offsets[n + 1]]
        inputs[name] = array
    begins = np.maximum(starts - overlap, 0)
    ends = np.minimum(starts + chunks.length, lengths)
    inputs |= {
        "p": np.where(begins > 0, begins, -100.0),  # what begins is not cut at all
        "low": starts.astype(float),
        "high": ends.astype(float),
        "n": (ends - starts).astype(float),
    }
    return inputs, list(lengths)


def follow(
    name: str, mode: Any, every: int, back: int, *, steps: int = 7, **options: Any
) -> list[Batch]:
    """Compare every step of a run, whose weights stay, with the long sequences cut by hand."""
    overlap = back - every
    model, params, _ = made(SPECS[name])
    if options:
        model._execution.engine = InterpretedEngine()
    whole = unfold.loads(cut(SPECS[name], ["p"]))
    chunks, source = ragged(model, every, overlap)
    carry, batches = None, []
    for step in range(steps):
        batch = source.batch(step)
        found = model.step(
            params,
            batch.inputs,
            carry=None if batch.fresh else carry,
            begins=batch.begins,
            known=batch.known,
            overlap=batch.overlap,
            lengths=batch.lengths,
            mode=mode,
            **options,
        )
        inputs, lengths = long_sequences(chunks, step, overlap)
        expected = whole.value_and_grad(params, inputs, mode=mode, lengths={"t": lengths})
        np.testing.assert_allclose(found.loss, expected[0], rtol=1e-12, err_msg=f"step {step}")
        equal(found.grads, expected[1])
        carry = found.carry
        batches.append(batch)
    return batches


@pytest.mark.parametrize(("every", "back"), [(3, 3), (2, 5), (2, 20), (1, 3)])
@pytest.mark.parametrize(("name", "mode"), CASES)
def test_windows_equal_the_long_sequence_cut_at_their_start(
    name: str, mode: str, every: int, back: int
) -> None:
    batches = follow(name, mode, every, back)
    mixed = [b for b in batches if b.begins is not None and 0 < b.begins.sum() < 3]
    assert mixed or back == 20, "rows begin at different times"


@pytest.mark.parametrize(("every", "back"), [(3, 3), (2, 5)])
@pytest.mark.parametrize(("name", "mode"), CASES)
def test_the_compiled_plan_does_the_same(name: str, mode: str, every: int, back: int) -> None:
    follow(name, mode, every, back, steps=5, backend="numba")


@pytest.mark.parametrize("name", ["learned", "two layers", "lstm", "feedback"])
def test_windows_whose_segments_are_recomputed(name: str) -> None:
    follow(name, "teacher", 2, 5, steps=5, backend="numba", checkpoint=2)
