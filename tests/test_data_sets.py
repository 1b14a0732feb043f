"""Sets of sequences: columns, inputs, batches of similar length, chunks, what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feeding import FRAMES, frames, reading
from unfold.errors import DataError
from unfold.training.data import Batch, Source, make
from unfold.training.data.columns import Column


def seen(source: Source, steps: range) -> list[int]:
    """Return which sequences the batches of some steps hold, by their first value."""
    return [int(v) for s in steps for v in source.batch(s).inputs["x"][:, 0, 0]]


# --- columns -----------------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8),
    st.data(),
)
def test_ragged_columns_give_back_what_was_put_in(rows: list[list[int]], data: Any) -> None:
    column = Column.ragged([np.array(r) for r in rows])
    some = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9)))
    taken = column.take(some, -1)
    assert taken.shape == (len(some), max(len(rows[i]) for i in some))
    for row, i in zip(taken, some, strict=True):
        assert row[: len(rows[i])].tolist() == rows[i]
        assert (row[len(rows[i]) :] == -1).all()
    selected = column.select(some)
    assert selected.count == len(some)
    np.testing.assert_array_equal(selected.take(np.arange(len(some)), -1), taken)


# --- batches -----------------------------------------------------------------------------------


def test_every_sequence_is_seen_once_in_an_epoch_in_an_order_of_its_own() -> None:
    data = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=2).batches(FRAMES)
    source = data.train
    assert source.epoch == 6
    first, second = seen(source, range(6)), seen(source, range(6, 12))
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    again = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=2).batches(FRAMES)
    assert seen(again.train, range(6, 12)) == second
    other = make.arrays(frames(), lengths={"t": "n"}, batch=4, seed=3).batches(FRAMES)
    assert seen(other.train, range(6)) != first


def test_a_source_has_no_state() -> None:
    """Any step at any time: what a run reads that goes on from a checkpoint."""
    walked, jumped = (
        make.arrays(frames(), lengths={"t": "n"}, batch=4).batches(FRAMES).train for _ in range(2)
    )
    for step in range(40):
        walked.batch(step)
    for step in (39, 17, 0, 23):
        one, other = walked.batch(step), jumped.batch(step)
        assert {n: a.tobytes() for n, a in one.inputs.items()} == {
            n: a.tobytes() for n, a in other.inputs.items()
        }
        np.testing.assert_array_equal(one.lengths["t"], other.lengths["t"])


def test_padding_is_cut_to_the_longest_and_holds_nothing() -> None:
    arrays = frames()
    source = make.arrays(arrays, lengths={"t": "n"}, batch=4).batches(FRAMES).train
    for step in range(6):
        batch = source.batch(step)
        x, n = batch.inputs["x"], batch.lengths["t"]
        assert x.shape[1] == n.max()
        assert np.isfinite(x).all()
        rows = x[:, 0, 0].astype(int)
        np.testing.assert_array_equal(n, arrays["n"][rows])
        np.testing.assert_array_equal(batch.inputs["y"], arrays["y"][rows])
        for row, length in zip(x, n, strict=True):
            assert (row[length:] == 0).all()
    assert batch.fresh


def padding(bucket: int) -> float:
    """Return the share of padding in an epoch."""
    generator = np.random.default_rng(4)
    x = [generator.integers(0, 3, n) for n in generator.integers(1, 60, 200)]
    lengths = np.array([len(r) for r in x])
    padded = np.stack([np.pad(r, (0, 60 - len(r))) for r in x])
    program = reading("x[t]: {category: n}", sizes="n: 3")
    given = {"x": padded}
    data = make.arrays(given, lengths={"t": lengths}, batch=8, bucket=bucket)
    source = data.batches(program).train
    assert source.epoch is not None
    batches = [source.batch(s) for s in range(source.epoch)]
    cells = sum(b.inputs["x"].size for b in batches)
    return 1 - sum(int(b.lengths["t"].sum()) for b in batches) / cells


def test_sequences_of_similar_length_share_a_batch() -> None:
    plain, sorted_ = padding(1), padding(20)
    assert plain > 0.35
    assert sorted_ < 0.08


def test_batches_of_an_epoch_do_not_come_by_length() -> None:
    source = make.arrays(frames(), lengths={"t": "n"}, batch=2, bucket=99).batches(FRAMES).train
    longest = [int(source.batch(s).lengths["t"].max()) for s in range(12)]
    assert longest != sorted(longest)


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_no_sequence_is_lost_whatever_the_sizes(
    count: int, batch: int, bucket: int, epoch: int
) -> None:
    data = make.arrays(frames(count), lengths={"t": "n"}, batch=batch, bucket=bucket)
    source = data.batches(FRAMES).train
    assert source.epoch is not None
    steps = range(epoch * source.epoch, (epoch + 1) * source.epoch)
    assert sorted(seen(source, steps)) == list(range(count))


def test_the_given_order_is_kept_and_its_end_is_validated_with() -> None:
    data = make.arrays(frames(), lengths={"t": "n"}, batch=4, order="given", validation=5)
    found = data.batches(FRAMES)
    assert seen(found.train, range(10)) == [*range(18), *range(18)]
    assert found.validation is not None
    assert seen(found.validation, range(2)) == [18, 19, 20, 21, 22]
    assert found.told.endswith("; 18 to train on, 5 to validate with")


def test_a_shuffled_split_is_the_same_whatever_the_batch() -> None:
    def kept(batch: int, seed: int) -> list[int]:
        data = make.arrays(frames(), lengths={"t": "n"}, batch=batch, seed=seed, validation=0.3)
        found = data.batches(FRAMES)
        assert found.train.epoch is not None
        train = seen(found.train, range(found.train.epoch))
        others = [
            int(b.inputs["x"][r, 0, 0])
            for b in found.validation_batches()
            for r in range(len(b.inputs["x"]))
        ]
        assert sorted([*train, *others]) == list(range(23))
        return others

    assert kept(4, 0) == kept(7, 0)
    assert len(kept(4, 0)) == 7
    assert kept(4, 0) != kept(4, 1)


def test_numbers_that_the_precision_of_the_run_does_not_have() -> None:
    arrays = {"x": np.array([[1.0, 2.0], [3e38, 4e38]])}
    program = reading("x[t]: []")
    assert make.arrays(arrays).batches(program).train.batch(0).inputs["x"].max() == 4e38
    with pytest.raises(
        DataError, match=r"sequence 2, element 2 is 4e\+38\n.* in float32 at most 3.4"
    ):
        make.arrays(arrays).batches(program, dtype="float32")


def test_real_inputs_have_the_precision_of_the_run() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    batch = data.batches(FRAMES, dtype="float32").train.batch(0)
    assert batch.inputs["x"].dtype == np.float32
    assert batch.inputs["y"].dtype == np.int64


# --- chunks ------------------------------------------------------------------------------------


def test_long_sequences_are_read_in_chunks_and_rows_begin_anew_one_by_one() -> None:
    lengths = [7, 2, 5, 3, 4, 9, 1]
    x = np.zeros((7, 9), dtype=np.int64)
    for row, n in enumerate(lengths):
        x[row, :n] = 10 * row + np.arange(n)
    program = reading("x[t]: {category: n}", sizes="n: 100")
    data = make.arrays({"x": x}, lengths={"t": np.array(lengths)}, batch=2, seed=1)
    source = data.batches(program, chunk={"t": 3}).train
    read: list[list[int]] = [[], []]
    for step in range(30):
        batch: Batch = source.batch(step)
        assert batch.begins is not None
        assert batch.fresh == batch.begins.all()
        for row in range(2):
            values = batch.inputs["x"][row, : batch.lengths["t"][row]].tolist()
            assert batch.begins[row] == (values[0] % 10 == 0)
            if not batch.begins[row]:
                assert values[0] == read[row][-1] + 1
            read[row] += values
            assert (batch.inputs["x"][row, len(values) :] == -1).all()
    assert source.epoch == 8  # row 0 reads 7, 5, 4 and 1 steps in 3 + 2 + 2 + 1 chunks
    for row, mine in enumerate([[0, 2, 4, 6], [1, 3, 5]]):
        whole = [v for v in read[row]]
        once = sum(lengths[i] for i in mine)
        assert sorted(whole[:once]) == sorted(10 * i + s for i in mine for s in range(lengths[i]))
    assert read[0][:17] != read[0][17:34]


def test_chunks_need_one_axis() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    with pytest.raises(DataError, match="in chunks along t, but y runs along no axis"):
        data.batches(FRAMES, chunk={"t": 3})
    drawn = make.task("reber", inputs={"x": "symbol"})
    program = reading("x[t]: {category: n}", sizes="n: 7")
    with pytest.raises(DataError, match="generated for every batch cannot be read in chunks"):
        drawn.batches(program, chunk={"t": 3})


# --- what does not fit -------------------------------------------------------------------------


def broken(**changes: Any) -> dict[str, Any]:
    """Return arrays of which some are replaced."""
    return {**frames(), **changes}


def nan_at(row: int, step: int) -> np.ndarray:
    """Return frames with a number missing."""
    x = frames()["x"]
    x[row, step, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (broken(y=np.arange(22) % 4), "unequal counts: array x has 23 sequences, array y has 22"),
        (broken(y=np.arange(23) % 5), "array y, sequence 5 is 4\n  help: classes of y are 0 to 3"),
        (broken(y=np.arange(23) - 2), "array y, sequence 1 is -2"),
        (broken(y=np.zeros(23)), "array y holds float64, but y is a category of m .4."),
        (broken(y=np.array(["a"] * 23)), "array y holds <U1, but y is a category"),
        (broken(x=nan_at(0, 0)), "array x, sequence 1, element 1, element 2 is nan"),
        (broken(x=np.full((23, 8, 3), -np.inf)), "sequence 1, element 1, element 1 is -inf"),
        (broken(x=frames()["x"][:, :, :2]), r"array x has the shape \[2\] at each point, but x.t."),
        (broken(x=frames()["x"][:, :, 0]), r"array x is \[sequences, 8\], but x\[t\] is \[n\]"),
        (broken(x=frames()["x"] + 1j), "array x holds complex128"),
        (broken(n=np.zeros(23, dtype=int)), "the length of sequence 1 along t is 0, but array x"),
        (broken(n=np.full(23, 9)), "the length of sequence 1 along t is 9, but array x has 8"),
        (broken(n=np.ones(23)), "array n is float64 .23."),
        (broken(y=np.zeros(0, dtype=int)), "array y is empty"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make.arrays(arrays, lengths={"t": "n"}).batches(FRAMES)


def test_counts_of_inputs_that_have_no_lengths() -> None:
    program = reading("x[t]: [n]", "y: {category: n}", sizes="n: 3")
    data = make.arrays({"x": np.zeros((5, 2, 3)), "y": np.zeros(4, dtype=int)})
    with pytest.raises(DataError, match="unequal counts: array x has 5 sequences, array y has 4"):
        data.batches(program)
    program = reading("x[t]: [n]", "y[t]: []", sizes="n: 3")
    data = make.arrays({"x": np.zeros((5, 2, 3)), "y": np.zeros((5, 7))})
    with pytest.raises(DataError, match="unequal extents along t: array x has 2, array y has 7"):
        data.batches(program)


def test_what_arrays_want_of_a_spec() -> None:
    data = make.arrays(frames(), lengths={"t": "n"})
    fit = data.fit(reading("x[t]: [width]", "y: {category: m}", sizes="width: 2, m: 9"))
    assert (fit.sizes, fit.axes) == ({"width": 3}, {"t": 8})
