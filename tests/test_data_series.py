"""Time series: columns, scaling fitted on the training part, windows, and faults of CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.feeding import reading
from unfold.errors import DataError, SpecError
from unfold.training.data import Data, make
from unfold.training.data.series import SeriesDataset, windows

XY = reading("x[t]: [n]", "y[t]: []", sizes="n: 2", axes="t: 3")
TABLE = "day, wind ,rain,kind\n" + "".join(f"d{i},{i * i},{100 - i},{i % 3}\n" for i in range(20))


def weather(tmp_path: Path, text: str = TABLE, **changes: Any) -> Any:
    """Open a file of 20 days."""
    (tmp_path / "w.csv").write_text(text, encoding="utf-8")
    data = {
        "series": {"file": "w.csv"},
        "inputs": {"x": ["wind", "rain"]},
        "targets": {"y": "rain"},
        "batch": 2,
        **changes,
    }
    return make.describe({k: v for k, v in data.items() if v is not None}, tmp_path)


def joined(data: Data, name: str) -> np.ndarray:
    """Return what the rows of a stream read in one epoch, one after the other."""
    assert data.train.epoch is not None
    batches = [data.train.batch(s).inputs[name] for s in range(data.train.epoch)]
    return np.concatenate(batches, axis=1)


def test_targets_are_the_columns_some_steps_later(tmp_path: Path) -> None:
    data = weather(tmp_path, normalise="none").batches(XY)
    assert data.told == "20 steps of wind, rain"
    assert data.train.epoch == 3  # 19 pairs, 2 rows of 9
    x, y = joined(data, "x"), joined(data, "y")
    assert x.shape == (2, 9, 2)
    for row in range(2):
        steps = np.arange(9) + 9 * row
        np.testing.assert_array_equal(x[row], np.stack([steps**2, 100 - steps], axis=1))
        np.testing.assert_array_equal(y[row], 99 - steps)
    fresh = [data.train.batch(s).fresh for s in range(4)]
    assert fresh == [True, False, False, True]
    assert weather(tmp_path).batches(XY, carry=False).train.batch(1).fresh
    three = weather(tmp_path, normalise="none", ahead=3).batches(XY)
    assert joined(three, "y")[0, :2].tolist() == [97, 96]


def test_scaling_is_fitted_on_the_training_part_alone(tmp_path: Path) -> None:
    found = weather(tmp_path, validation=5, batch=1).batches(XY)
    wind = np.arange(20.0) ** 2
    mean, deviation = wind[:15].mean(), wind[:15].std()
    scales = found.facts["normalisation"]
    assert scales["wind"] == {"subtract": mean, "divide": deviation}  # type: ignore[index]
    np.testing.assert_allclose(joined(found, "x")[0, :, 0], (wind[:12] - mean) / deviation)
    (batch,) = found.validation_batches()
    np.testing.assert_allclose(batch.inputs["x"][0, :, 0], (wind[15:18] - mean) / deviation)
    assert found.told == "20 steps of wind, rain; 15 to train on, 5 to validate with"
    ranged = weather(tmp_path, validation=5, batch=1, normalise="range").batches(XY)
    assert ranged.facts["normalisation"]["rain"] == {  # type: ignore[index]
        "subtract": 86,
        "divide": 14,
    }
    changed = TABLE.replace("d19,361", "d19,9999")
    other = weather(tmp_path, text=changed, validation=5, batch=1).batches(XY)
    assert other.facts["normalisation"] == scales
    assert other.facts["fingerprint"] != found.facts["fingerprint"]
    np.testing.assert_array_equal(joined(other, "x"), joined(found, "x"))


def test_the_training_part_sees_nothing_of_the_other(tmp_path: Path) -> None:
    found = weather(tmp_path, validation=0.25, batch=1, normalise="none", ahead=2).batches(XY)
    assert joined(found, "y").min() >= 100 - 14
    (batch,) = found.validation_batches()
    assert batch.inputs["x"][0, 0].tolist() == [225, 85]
    assert batch.inputs["y"][0].tolist() == [83, 82, 81]


SEVERAL = reading("x[t]: []", "y[t,k]: []", axes="t: 3, k: 2")


@pytest.mark.parametrize("stride", [None, 3])
def test_targets_of_several_steps_have_an_axis(tmp_path: Path, stride: int | None) -> None:
    rules = {"inputs": {"x": "rain"}, "ahead": [1, 4], "batch": 1, "normalise": "none"}
    data = weather(tmp_path, **rules, stride=stride, validation=8)
    assert data.fit(reading("x[t]: []", "y[t,k]: []", axes="t: 3, k: 5")).axes == {"k": 2}
    found = data.batches(SEVERAL)
    assert found.train.epoch == (8 // 3 if stride is None else 2)  # 12 days, 4 of them ahead
    for part, epoch in ((found.train, found.train.epoch), (found.validation, 1)):
        assert part is not None and epoch is not None
        for step in range(epoch):
            inputs = part.batch(step).inputs
            assert inputs["y"].shape == (1, 3, 2)
            for place, days in enumerate((1, 4)):
                np.testing.assert_array_equal(inputs["y"][:, :, place], inputs["x"] - days)


@pytest.mark.parametrize(
    ("changes", "program", "message"),
    [
        ({"ahead": [1, 2]}, "x[t]: []; y[t]: []", r"every step has 2 targets, but .* is y\[t\]"),
        ({"ahead": [1, 2, 3]}, "x[t]: []; y[t,k]: []", "k has 2 points, but there are 3 targets"),
        ({"ahead": 1}, "x[t]: []; y[t,k]: []", r"runs along t, but the input is y\[t, k\]"),
        ({"ahead": [1, 2]}, "x[t]: []; y[k,t]: []", r"runs along t, but the input is y\[k, t\]"),
        ({"ahead": [1, 18]}, "x[t]: []; y[t,k]: []", "20 steps, but 1 rows of 3 steps need 21"),
    ],
)
def test_several_steps_with_mistakes(
    tmp_path: Path, changes: dict[str, Any], program: str, message: str
) -> None:
    data = weather(tmp_path, inputs={"x": "rain"}, batch=1, **changes)
    with pytest.raises(DataError, match=message):
        data.batches(reading(*program.split("; "), axes="t: 3, k: 2"))


@pytest.mark.parametrize("ahead", [[], [1, -1], -1, 1.5, "two", [True]])
def test_steps_ahead_are_whole_numbers(tmp_path: Path, ahead: Any) -> None:
    with pytest.raises(SpecError, match=r"ahead: expected a number of steps, or a list of them"):
        weather(tmp_path, ahead=ahead)


def test_a_constant_column_is_only_shifted(tmp_path: Path) -> None:
    text = "a\n" + "7\n" * 12
    (tmp_path / "c.csv").write_text(text)
    data = make.series(str(tmp_path / "c.csv"), inputs={"x": "a"}, batch=1)
    found = data.batches(reading("x[t]: []", axes="t: 4"))
    assert found.facts["normalisation"] == {"a": {"subtract": 7.0, "divide": 1.0}}
    assert (found.train.batch(0).inputs["x"] == 0).all()


def test_windows_are_shuffled_sequences(tmp_path: Path) -> None:
    found = weather(tmp_path, stride=2, batch=4, normalise="none", validation=6).batches(XY)
    assert found.train.epoch == 2  # 13 pairs: windows from 0, 2, …, 10
    batches = [found.train.batch(s) for s in range(2)]
    assert all(b.fresh and not b.lengths for b in batches)
    starts = [int(w[0, 1]) for b in batches for w in b.inputs["x"]]
    assert sorted(starts) == [90, 92, 94, 96, 98, 100]
    assert starts != sorted(starts)
    for b in batches:
        np.testing.assert_array_equal(b.inputs["y"], b.inputs["x"][:, :, 1] - 1)
    (kept,) = found.validation_batches()
    assert kept.inputs["x"][:, 0, 1].tolist() == [86, 84]
    half = weather(tmp_path, stride=1, batch=9, normalise="none", validation=10).batches(XY)
    (kept,) = half.validation_batches()
    assert kept.inputs["x"][:, 0, 1].tolist() == [90, 89, 88, 87, 86, 85, 84]
    again = weather(tmp_path, stride=2, batch=4, normalise="none", validation=6).batches(XY)
    np.testing.assert_array_equal(
        again.train.batch(7).inputs["x"], found.train.batch(7).inputs["x"]
    )


def test_windows_of_an_array() -> None:
    array = np.arange(14).reshape(7, 2)
    found = windows(array, 3, 2)
    assert found.shape == (3, 3, 2)
    np.testing.assert_array_equal(found[1], array[2:5])


def test_columns_may_be_classes_and_sizes_follow(tmp_path: Path) -> None:
    data = weather(tmp_path, inputs={"x": ["wind"], "k": "kind"})
    program = reading("x[t]: [n]", "y[t]: []", "k[t]: {category: 3}", sizes="n: 9")
    assert data.fit(program).sizes == {"n": 1}
    program = reading("x[t]: [n]", "y[t]: []", "k[t]: {category: 3}", sizes="n: 1")
    found = data.batches(program)
    assert found.train.batch(0).inputs["k"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 0, 1]]
    assert set(found.facts["normalisation"]) == {"wind", "rain"}  # type: ignore[call-overload]
    few = reading("x[t]: [1]", "y[t]: []", "k[t]: {category: 2}")
    message = "w.csv, line 4, column kind: 2 is not a class of k\n  help: classes are 0 to 1"
    with pytest.raises(DataError, match=message):
        data.batches(few)
    data = weather(tmp_path, text=TABLE.replace("d4,16,96,1", "d4,16,96,0.5"), inputs={"k": "kind"})
    with pytest.raises(DataError, match=r"line 6, column kind: 0\.5 is not a class of k"):
        data.batches(reading("y[t]: []", "k[t]: {category: 3}"))


def test_gaps_are_filled_by_lines_where_that_is_asked_for(tmp_path: Path) -> None:
    text = "a,b\n1,0\n,0\nnan,0\n7,0\n" + "8,0\n" * 6
    (tmp_path / "g.csv").write_text(text)
    file = str(tmp_path / "g.csv")
    data = make.series(file, inputs={"x": "a"}, missing="interpolate", normalise="none", batch=1)
    found = data.batches(reading("x[t]: []", axes="t: 4"))
    assert found.train.batch(0).inputs["x"].tolist() == [[1, 3, 5, 7]]
    assert found.told == "10 steps of a, 2 gaps filled"


LINES = reading("x[t]: []", axes="t: 2")


def column(tmp_path: Path, text: str, **more: Any) -> list[float]:
    """Return what x reads of the column a, NaN for a gap."""
    (tmp_path / "n.csv").write_bytes(text.encode())
    data = make.series(str(tmp_path / "n.csv"), inputs={"x": "a"}, batch=1, **more)
    return joined(data.batches(LINES), "x")[0].tolist()


def test_csv_gap(tmp_path: Path) -> None:
    """A blank line is a step without a value: time does not close up over it."""
    text = "a\n1\n2\n\n4\n5\n6\n7\n"
    filled = {"missing": "interpolate", "normalise": "none"}
    assert column(tmp_path, text, **filled)[:6] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(DataError, match=r"n\.csv, line 4 is blank\n  help: .*interpolate"):
        column(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message", "filled"),
    [
        ("a,b\n1,0\n2,0\n\n4,0\n", "line 4 is blank", [1, 2, 3, 4]),
        ("a,b\n1,0\n2,0\n,\n4,0\n", "line 4, column a: the field is empty", [1, 2, 3, 4]),
        ("a\n1\n2\n \t\n4\n", "line 4 is blank", [1, 2, 3, 4]),
        ('a\n1\n2\n""\n4\n', "line 4, column a: the field is empty", [1, 2, 3, 4]),
        ('a\n1\n2\n3\n""\n', "line 5, column a: the field is empty", [1, 2, 3, 3]),
        ("a,b\n1,0\n2,0\n3,0\n,\n", "line 5, column a: the field is empty", [1, 2, 3, 3]),
        ("a\r1\r2\r\r4\r", "line 4 is blank", [1, 2, 3, 4]),
        ("a\r\n1\r\n2\r\n\r\n4\r\n", "line 4 is blank", [1, 2, 3, 4]),
    ],
)
def test_lines_without_a_number(
    tmp_path: Path, text: str, message: str, filled: list[float]
) -> None:
    with pytest.raises(DataError, match=f"n.csv, {message}"):
        column(tmp_path, text)
    assert column(tmp_path, text, missing="interpolate", normalise="none") == filled


@pytest.mark.parametrize("end", ["", "\n", "\n\n \n", "\r\n\r\n"])
def test_blank_lines_at_the_end_and_before_the_header_are_no_steps(
    tmp_path: Path, end: str
) -> None:
    assert column(tmp_path, f"\n\na\n1\n2\n3\n4{end}", normalise="none") == [1, 2, 3, 4]


def test_no_line_is_drawn_between_classes(tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("k\n0\n\n2\n2\n")
    data = make.series(str(tmp_path / "k.csv"), inputs={"k": "k"}, missing="interpolate", batch=1)
    with pytest.raises(DataError, match=r"k\.csv, line 3, column k: k needs a class"):
        data.batches(reading("k[t]: {category: 3}", axes="t: 2"))


def test_other_separators_and_quotes(tmp_path: Path) -> None:
    text = '\ufeff"wind";"rain; mm"\n' + "".join(f"{i};{i}.5\n" for i in range(9))
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    data = {"series": {"file": "s.csv", "separator": ";"}, "inputs": {"x": ["wind", "rain; mm"]}}
    found = make.describe({**data, "batch": 1, "normalise": "none"}, tmp_path)
    batch = found.batches(reading("x[t]: [2]")).train.batch(0)
    assert batch.inputs["x"][0, 2].tolist() == [2, 2.5]


def test_a_gap_between_the_parts_is_filled_in_either_by_itself(tmp_path: Path) -> None:
    text = "a\n" + "0\n" * 5 + "nan\nnan\n" + "9\n" * 5
    (tmp_path / "g.csv").write_text(text)
    rules = {"missing": "interpolate", "normalise": "none", "batch": 1, "validation": 6}
    data = make.series(str(tmp_path / "g.csv"), inputs={"x": "a"}, **rules)
    found = data.batches(reading("x[t]: []", axes="t: 6"))
    assert found.train.batch(0).inputs["x"].tolist() == [[0] * 6]
    (kept,) = found.validation_batches()
    assert kept.inputs["x"].tolist() == [[9] * 6]
    text = "a\n" + "0\n" * 6 + "nan\n" * 6
    (tmp_path / "g.csv").write_text(text)
    data = make.series(str(tmp_path / "g.csv"), inputs={"x": "a"}, **rules)
    with pytest.raises(DataError, match="column a has no number in its validation part"):
        data.batches(reading("x[t]: []", axes="t: 6"))


@pytest.mark.parametrize(
    ("name", "first", "total", "told"),
    [
        ("sunspots", 5.0, 15373.4, "309 steps of sunspots"),
        ("co2", 316.1, 756816.5, "2,284 steps of co2, 59 gaps filled"),
    ],
)
def test_series_that_come_along(name: str, first: float, total: float, told: str) -> None:
    dataset = make.describe({"series": name, "inputs": {"x": name}, "batch": 1})
    assert isinstance(dataset, SeriesDataset)
    column = dataset.table.columns[name]
    assert column[0] == first
    assert np.nansum(column) == pytest.approx(total)
    assert dataset.batches(reading("x[t]: []", axes="t: 300")).told == told


@pytest.mark.parametrize("name", ["sunspots", "co2"])
def test_series_that_come_along_are_those_of_statsmodels(name: str) -> None:
    datasets = pytest.importorskip("statsmodels.api").datasets
    frame = getattr(datasets, name).load_pandas().data
    dataset = make.describe({"series": name, "inputs": {"x": name}})
    assert isinstance(dataset, SeriesDataset)
    column = np.asarray(frame["SUNACTIVITY" if name == "sunspots" else "co2"], dtype=float)
    np.testing.assert_array_equal(dataset.table.columns[name], column)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": {"x": ["wind", "rian"]}},
            "w.csv has no column rian\n  help: did you mean rain",
        ),
        ({"inputs": {"z": "wind"}}, "the spec has no input z"),
        ({"targets": None}, "the input y gets no values\n  help: .*inputs: {y: wind}"),
        ({"targets": {"y": ["wind", "rain"]}}, "y is a number, but reads 2 columns"),
        ({"inputs": {"x": ["wind"]}}, "x is .n. = .2., but reads 1 columns"),
        ({"axis": "s"}, r"the series runs along s, but the input is x\[t\]"),
        ({"batch": 9}, "the series has 20 steps, but 9 rows of 3 steps need 28"),
        ({"validation": 3}, "its validation part has 3 steps, but 1 rows of 3 steps need 4"),
        ({"validation": 20}, "validation keeps 20 of 20 steps"),
        ({"text": TABLE.replace("49,93", ",93")}, "line 9, column wind: the field is empty"),
        ({"text": TABLE.replace("49,93", "nan,93")}, "line 9, column wind: nan is not a finite"),
        ({"text": TABLE.replace("49,93", "inf,93")}, "line 9, column wind: inf is not a finite"),
        ({"text": TABLE.replace("49,93", "4 9,93")}, 'line 9, column wind: "4 9" is not a number'),
        ({"text": TABLE.replace("49,93", "4_9,93")}, 'column wind: "4_9" is not a number'),
        (
            {"text": TABLE.replace("49,93", "1e308,93").replace("64,92", "-1e308,92")},
            "too large for",
        ),
        ({"text": TABLE.replace("49,93", "49;93")}, "line 9 has 3 fields, the header 4"),
        ({"text": TABLE.replace("day", "rain")}, "w.csv has 2 columns rain\n  help: rename one"),
        ({"text": "wind,rain\n"}, "w.csv has no rows after its header"),
        ({"text": ""}, "w.csv is empty"),
        ({"text": 'wind,rain\n"1,2'}, "line 2 has 1 fields|is not a CSV file"),
        (
            {"text": "wind,rain\n" + ",1\n" * 9, "missing": "interpolate"},
            "column wind has no number",
        ),
    ],
)
def test_series_with_mistakes(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        weather(tmp_path, **changes).batches(XY)


def test_a_step_belongs_to_one_place_in_the_epoch(tmp_path: Path) -> None:
    data = weather(tmp_path).batches(XY)
    walked = [data.train.batch(s).inputs["x"].tobytes() for s in range(12)]
    jumped = weather(tmp_path).batches(XY).train
    assert [jumped.batch(s).inputs["x"].tobytes() for s in (11, 4, 0)] == [
        walked[i] for i in (11, 4, 0)
    ]
    assert walked[0] == walked[3] != walked[1]
