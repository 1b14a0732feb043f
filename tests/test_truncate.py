"""Truncated backpropagation through time, against one long graph that is cut by hand.

Chunk by chunk, with the state carried, gradients must add up to those of the whole sequence in
which every path back beyond the window is cut by `stop_gradient`. With windows of one chunk that is
one run of the whole sequence, cut where chunks meet. With longer windows the loss of every chunk
has a cut of its own, so there is one such run for every chunk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential.interpreted import interpret
from gradients import sample

import unfold
from unfold.errors import DataError, SpecError
from unfold.training.data import FixedSource, StreamSource, make
from unfold.training.data.batches import Batch, ChunkSource, Source, row_order
from unfold.training.data.binding import Binding, BoundColumn
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
        BoundColumn(v.name, v.name, ("t",), v.type.kind == "category") for v in model.program.inputs
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
    name: str,
    mode: Any,
    every: int,
    back: int,
    *,
    steps: int = 7,
    compiled: bool = False,
    **options: Any,
) -> list[Batch]:
    """Compare every step of a run, whose weights stay, with the long sequences cut by hand."""
    overlap = back - every
    model, params, _ = made(SPECS[name])
    if options and not compiled:
        interpret(model)
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


WINDOWS = [(*case, *window) for case in CASES for window in ((3, 3), (2, 5))]


@pytest.mark.parametrize(
    ("name", "mode", "every", "back"),
    [*WINDOWS, ("delays", "teacher", 2, 20), ("delays", "teacher", 1, 3)],
)
def test_windows_equal_the_long_sequence_cut_at_their_start(
    name: str, mode: str, every: int, back: int
) -> None:
    batches = follow(name, mode, every, back)
    mixed = [b for b in batches if b.begins is not None and 0 < b.begins.sum() < 3]
    assert mixed or back == 20, "rows begin at different times"


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_the_compiled_plan_does_the_same(name: str, mode: str) -> None:
    follow(name, mode, 2, 5, steps=4, backend="numba")


@pytest.mark.parametrize("name", ["learned", "two layers", "lstm", "feedback"])
def test_windows_whose_segments_are_recomputed(name: str) -> None:
    follow(name, "teacher", 2, 5, steps=5, backend="numba", checkpoint=2)


def test_compiled_windows() -> None:
    """The one case that goes through the compiler."""
    follow("lstm", "teacher", 2, 5, steps=4, backend="numba", compiled=True)


# Rows that begin anew

GRID = """
axes: {t: 4, l: 3}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V: [2,2], c: [2]}
nodes:
  s[t,l]: tanh(W @ s[t-1,l-1] + V @ s[t-1,l] + x[t])
  h[t]: tanh(s[t,last] + 0.5 * h[t-2])
initial: {"s[t]": tanh(c), "s[l]": 0.7, h: ones}
loss: sum[t](h[t] @ h[t])
"""
OTHER = """
axes: {t: 4}
inputs: {x[t]: {category: 5}}
parameters: {U: [5,5]}
nodes:
  h[t]: tanh(U @ x[t-2] + h[t-1])
  n[t]: {is: "n[t-1] + 1", shape: []}
initial: {x: 3, n: 2}
loss: sum[t](n[t] * cross_entropy(h[t], x[t]))
"""


@pytest.mark.parametrize("text", [GRID, GRID.replace("[t,l]", "[l,t]"), OTHER, SPECS["learned"]])
def test_a_row_that_begins_is_a_sequence_of_its_own(text: str) -> None:
    text = re.sub(r"s\[t-1,(l(?:-1)?)\]", r"s[\1,t-1]", text) if "s[l,t]" in text else text
    text = text.replace("s[t,last]", "s[last,t]") if "s[l,t]" in text else text
    model, params, inputs, _ = sample(HEAD + text.strip(), {"t": 4}, seed=6)
    before = {n: np.roll(a, 1, axis=1) for n, a in inputs.items()}
    carry = model.forward(params, before).carry
    begins = np.array([True, False, True])
    anew, on = model.forward(params, inputs), model.forward(params, inputs, carry=carry)
    mixed = model.forward(params, inputs, carry=carry, begins=begins)
    for node in model.pipeline.nodes:
        if "t" in model.program[node].axes:
            row = begins.reshape(3, *[1] * (anew[node].ndim - 1))
            np.testing.assert_allclose(mixed[node], np.where(row, anew[node], on[node]), 1e-12)
    # The gradient of a mean is that of its rows: nothing of one reaches another.
    grads = model.step(params, inputs, carry=carry, begins=begins).grads
    alone = {n: np.zeros_like(a) for n, a in params.items()}
    for row in range(3):
        mine = {n: a[row : row + 1] for n, a in inputs.items()}
        state = None if begins[row] else {n: a[row : row + 1] for n, a in carry.items()}
        found = model.step(params, mine, carry=state).grads
        alone = {n: a + found[n] / 3 for n, a in alone.items()}
    equal(grads, alone)


def test_what_is_said_of_rows_has_to_fit() -> None:
    model, params, inputs = made(SPECS["learned"])
    carry = model.forward(params, inputs).carry
    with pytest.raises(DataError, match="disagree along batch"):
        model.step(params, inputs, carry=carry, begins=[True, False])
    with pytest.raises(DataError, match=r"known has the shape \[\], expected one per sequence"):
        model.step(params, inputs, carry=carry, known=2)
    with pytest.raises(DataError, match="overlap is -1"):
        model.step(params, inputs, overlap=-1)


# Windows of data


def test_windows_of_a_stream() -> None:
    """The example of the module: every 2, back 5, a row of seven steps, and over again."""
    stream = StreamSource({"x": np.arange(14).reshape(2, 7), "y": np.zeros((2, 7, 1))}, 2)
    source = WindowSource(stream, "t", 3)
    found = [source.batch(step) for step in range(4)]
    rows = [b.inputs["x"][0].tolist() for b in found]
    assert rows == [[0, 1], [0, 1, 2, 3], [1, 2, 3, 4, 5], [0, 1]]
    assert found[2].inputs["x"][1].tolist() == [8, 9, 10, 11, 12]
    assert found[2].inputs["y"].shape == (2, 5, 1)
    assert [b.fresh for b in found] == [True, True, False, True]
    assert [(b.known if b.known is not None else np.empty(0)).tolist() for b in found] == [
        [0, 0],
        [2, 2],
        [3, 3],
        [0, 0],
    ]
    assert all(b.overlap == 3 and b.begins is None and not b.lengths for b in found)


# Training

SPEC = HEAD + SPECS["learned"].strip() + "\ntrain: {optimizer: {sgd: {rate: 0.1}}, log: 1}\n"


def longer() -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(8)
    lengths = np.array([9, 4, 7, 3, 5])
    x, y = rng.standard_normal((5, 9, 2)), rng.standard_normal((5, 9, 3))
    past = np.arange(9) >= lengths[:, None]
    x[past], y[past] = 0, 0
    return {"x": x, "y": y}, {"t": lengths}


@pytest.mark.parametrize("truncate", [{"t": 2}, {"t": {"every": 2, "back": 5}}])
def test_a_truncated_run_that_goes_on_equals_one_that_was_never_stopped(
    truncate: dict[str, Any], tmp_path: Path
) -> None:
    data, lengths = longer()
    options: dict[str, Any] = {"batch": 2, "lengths": lengths, "truncate": truncate}
    whole = unfold.train(unfold.loads(SPEC), data, steps=9, **options)
    unfold.train(unfold.loads(SPEC), data, steps=4, folder=tmp_path, **options)
    rest = unfold.train(unfold.loads(SPEC), data, steps=9, folder=tmp_path, **options)
    assert rest.taken == 5 and list(rest.losses) == list(whole.losses)
    for name, array in whole.params.items():
        assert np.array_equal(rest.params[name], array), name


def test_training_follows_the_windows() -> None:
    """Three steps of gradient descent, one by one."""
    data, lengths = longer()
    model = unfold.loads(SPEC)
    how = {"truncate": {"t": {"every": 2, "back": 3}}, "lengths": lengths, "batch": 2}
    outcome = unfold.train(model, data, steps=4, **how)
    batches = make.arrays(data, lengths=lengths, batch=2).batches(model.program, chunk={"t": 2})
    source = WindowSource(batches.train, "t", 1)
    params, carry = model.init(seed=0), None
    for step in range(4):
        b = source.batch(step)
        own = {"lengths": b.lengths, "begins": b.begins, "known": b.known, "overlap": 1}
        found = model.step(params, b.inputs, carry=None if b.fresh else carry, **own)
        assert found.loss == outcome.losses[step]
        params = {n: a - 0.1 * found.grads[n] for n, a in params.items()}
        carry = found.carry
    equal(outcome.params, params)


def test_without_carry_every_chunk_begins_anew() -> None:
    data, lengths = longer()
    how = {"truncate": {"t": 2, "carry": False}, "lengths": lengths, "batch": 2}
    model = unfold.loads(SPEC)
    outcome = unfold.train(model, data, steps=2, **how)
    batches = make.arrays(data, lengths=lengths, batch=2).batches(model.program, chunk={"t": 2})
    params = model.init(seed=0)
    for step in range(2):
        b = batches.train.batch(step)
        found = model.step(params, b.inputs, lengths=b.lengths)
        assert found.loss == outcome.losses[step]
        params = {n: a - 0.1 * found.grads[n] for n, a in params.items()}


def test_a_text_is_cut_by_truncate() -> None:
    text = (
        HEAD
        + """
axes: {t: 50}
sizes: {vocab: 9, n: 3}
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters: {W: [n,n], U: [n,vocab], V: [vocab,n]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: sum[t](cross_entropy(o[t], y[t]))
""".strip()
    )
    model = unfold.loads(text)
    data = make.text(string="abcdefghi" * 5, input="x", target="y", batch=2)
    outcome = unfold.train(model, data, steps=4, truncate={"t": {"every": 4, "back": 8}})
    # A sum counts four steps each, also where eight were run.
    np.testing.assert_allclose(outcome.losses, 4 * np.log(9), rtol=0.2)


MISTAKES = [
    ({"t": 25, "u": 3}, r"expected one axis and its steps, as in \{t: 25\}"),
    (25, "expected one axis and its steps"),
    ({"t": 0}, "t.every: expected a number of steps"),
    ({"t": {"every": 5, "forward": 2}}, "unknown key 'forward' in train.truncate.t"),
    ({"t": {"back": 5}}, "train.truncate.t lacks the key 'every'"),
    ({"t": {"every": 9, "back": 5}}, "fewer than the 9 between updates"),
    ({"t": {"every": 5, "back": 9}, "carry": False}, "the state must be carried"),
    ({"t": 5, "carry": 1}, "carry: expected true or false, got 1"),
    ({"u": 5}, "u cannot be truncated: the state continues along t"),
]


@pytest.mark.parametrize(("truncate", "message"), MISTAKES)
def test_mistakes(truncate: Any, message: str) -> None:
    data, lengths = longer()
    with pytest.raises(SpecError, match=message):
        unfold.train(unfold.loads(SPEC), data, lengths=lengths, steps=1, truncate=truncate)


def test_data_that_cannot_be_cut() -> None:
    model = unfold.loads(SPEC + "data: {random: true}\n")
    with pytest.raises(SpecError, match="data of this kind are not read in chunks along t"):
        unfold.train(model, steps=1, truncate={"t": 2})
    with pytest.raises(DataError, match="a custom source makes its own chunks"):
        unfold.train(model, FixedSource({}, 1), steps=1, truncate={"t": 2})
    flat = unfold.loads(
        HEAD + "axes: {t: 3}\ninputs: {x[t]: []}\nnodes: {y[t]: 2 * x[t]}\nloss: sum[t](y[t])"
    )
    with pytest.raises(SpecError, match="no state continues along any axis"):
        unfold.train(flat, {"x": np.zeros((2, 3))}, steps=1, truncate={"t": 2})
