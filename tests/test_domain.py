"""Extents and lengths of axes: defaults, data, derived axes, and every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from unfold.core.affine import Affine
from unfold.core.program import Axis, Program
from unfold.errors import DataError
from unfold.runs.domain import Domain

T = Affine.axis("t")


def program(**extents: Affine | int) -> Program:
    """Return an empty Program with these axes."""
    axes = {"batch": Axis("batch", Affine.number(1), from_data=True)}
    for name, extent in extents.items():
        whole = Affine.number(extent) if isinstance(extent, int) else extent
        axes[name] = Axis(name, whole, from_data=name == "t")
    return Program("demo", axes, {})


def test_defaults_come_from_the_spec() -> None:
    domain = Domain(program(t=5, l=3), batch=2)
    assert domain.extents == {"batch": 2, "t": 5, "l": 3}
    assert domain.uniform
    assert domain.last("t").tolist() == [4, 4]
    assert domain.length("batch").tolist() == [2, 2]
    assert domain.shape(("batch", "l")) == (2, 3)


def test_data_and_lengths_decide() -> None:
    domain = Domain(program(t=5), {"t": 7}, {"t": [6, 1, 2]}, batch=3)
    assert domain.extents["t"] == 7
    assert domain.length("t").tolist() == [6, 1, 2]
    assert not domain.uniform
    assert domain.sequence(1).extents == {"batch": 1, "t": 1}
    assert domain.sequence(0).uniform
    assert Domain(program(t=50), None, {"t": np.array([3, 8])}, batch=2).extents["t"] == 8


def test_equal_but_short_lengths_are_not_uniform() -> None:
    assert not Domain(program(t=5), {"t": 7}, {"t": [6, 6]}, batch=2).uniform
    assert Domain(program(t=5), {"t": 7}, {"t": [7, 7]}, batch=2).uniform


def test_derived_axes_follow_each_sequence() -> None:
    axes = program(v=Affine.axis("u") + 1, u=T // 2, t=9)
    domain = Domain(axes, {"t": 7}, {"t": [7, 2, 5]}, batch=3)
    assert domain.extents == {"batch": 3, "v": 4, "u": 3, "t": 7}
    assert domain.length("u").tolist() == [3, 1, 2]
    assert domain.length("v").tolist() == [4, 2, 3]
    assert Domain(axes, {"t": 7, "u": 3}).extents["v"] == 4


def test_an_axis_may_shrink_as_another_grows() -> None:
    domain = Domain(program(t=9, u=Affine.number(10) - T), {"t": 7}, {"t": [7, 2]}, batch=2)
    assert domain.length("u").tolist() == [3, 8]
    assert domain.extents["u"] == 8


def test_distinct_lengths_are_listed_once() -> None:
    domain = Domain(program(t=5, s=4), None, {"t": [5, 3, 5], "s": [2, 4, 2]}, batch=3)
    assert domain.distinct() == ({"t": 3, "s": 4}, {"t": 5, "s": 2})
    assert Domain(program(t=5, s=4), batch=9).distinct() == ({"t": 5, "s": 4},)


REFUSALS: list[tuple[dict[str, int] | None, Mapping[str, Any] | None, int, str]] = [
    (None, None, 0, "a batch needs at least one sequence, found 0"),
    ({"time": 3}, None, 1, "not an axis of demo; the axes are t, u"),
    ({"tt": 3}, None, 1, "did you mean t?"),
    ({"batch": 3}, None, 1, "cannot be given"),
    ({"t": 0}, None, 1, "axis t has 0 points"),
    ({"t": 6}, {"t": [6, 7]}, 2, "sequence 1 has length 7 along t, but the data has only 6"),
    (None, {"t": [4, 0]}, 2, "sequence 1 has length 0 along t; the shortest possible is 1"),
    (None, {"t": [4, 3]}, 3, r"expected one per sequence \(3\), found 2"),
    (None, {"t": [[4, 3]]}, 2, r"found an array of shape \[1, 2\]"),
    (None, {"t": [4, 2.5]}, 2, r"whole numbers, found \[4.0, 2.5\]"),
    (None, {"t": ["4", "3"]}, 2, "whole numbers"),
    (None, {"s": [4, 2]}, 2, "lengths are given for s"),
    (
        {"t": 6, "u": 4},
        None,
        1,
        r"axis u = \(t\)/2 has 3 points \(where t = 6\), but the data has 4",
    ),
    ({"t": 6}, {"t": [6, 4], "u": [3, 3]}, 2, "omit the lengths of u"),
    (None, {"t": [4, 1]}, 2, r"has 0 points in sequence 1, where t = 1"),
]


@pytest.mark.parametrize(("extents", "lengths", "batch", "message"), REFUSALS)
def test_what_does_not_fit_is_refused(
    extents: dict[str, int] | None, lengths: Mapping[str, Any] | None, batch: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Domain(program(t=50, u=T // 2), extents, lengths, batch)


def test_extents_that_depend_on_each_other_are_refused() -> None:
    with pytest.raises(DataError, match="t -> u -> t"):
        Domain(program(t=Affine.axis("u") + 1, u=T // 2))


def test_a_sequence_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="sequences 0 to 1"):
        Domain(program(t=5), batch=2).sequence(2)
