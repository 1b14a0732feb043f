"""Affine indices: their arithmetic is that of the numbers they stand for."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unfold.core.affine import Affine

AXES = ("t", "k", "s")
T, K, S = (Affine.axis(a) for a in AXES)

small = st.integers(-4, 4)
terms = st.dictionaries(st.sampled_from(AXES), small, max_size=3)
points = st.fixed_dictionaries({a: st.integers(0, 9) for a in AXES})
fixed = settings(max_examples=100)


@st.composite
def indices(draw: st.DrawFn, *, whole: bool = False) -> Affine:
    """Return any index, with a divisor unless it must be whole."""
    found = Affine.number(draw(st.integers(-9, 9)))
    for axis, coefficient in draw(terms).items():
        found = found + Affine.axis(axis) * coefficient
    for axis, coefficient in draw(st.dictionaries(st.sampled_from(AXES), small)).items():
        found = found + Affine.last(axis) * coefficient
    return found if whole else found // draw(st.integers(1, 4))


def exact(index: Affine, at: dict[str, int], last: dict[str, int]) -> Fraction:
    """Return the number an index stands for, which may be a fraction."""
    numerator = Affine(index.terms, index.constant, index.lasts)
    value, divides = numerator.evaluate(at, last)
    assert divides is True
    return Fraction(value, index.divisor)


@fixed
@given(a=indices(), b=indices(), n=small, at=points, last=points)
def test_arithmetic(a: Affine, b: Affine, n: int, at: dict[str, int], last: dict[str, int]) -> None:
    x, y = exact(a, at, last), exact(b, at, last)
    assert exact(a + b, at, last) == x + y
    assert exact(a - b, at, last) == x - y
    assert exact(a + n, at, last) == x + n
    assert exact(a - n, at, last) == x - n
    assert exact(a * n, at, last) == x * n
    assert exact(a // 3, at, last) == x / 3


@fixed
@given(a=indices(), at=points, last=points)
def test_evaluation_floors_and_says_whether_it_divides(
    a: Affine, at: dict[str, int], last: dict[str, int]
) -> None:
    value, divides = a.evaluate(at, last)
    x = exact(a, at, last)
    assert value == floor(x) and divides == (x.denominator == 1)


@fixed
@given(a=indices(), n=st.integers(-9, 9), d=st.integers(1, 4), at=points, last=points)
def test_extents_are_floored(
    a: Affine, n: int, d: int, at: dict[str, int], last: dict[str, int]
) -> None:
    """As extents, whole numbers and further divisions go into the floor."""
    value, _ = a.evaluate(at, last)
    assert (a + n).evaluate(at, last)[0] == value + n
    assert (a // d).evaluate(at, last)[0] == value // d


@fixed
@given(a=indices(), b=indices(), c=indices(), at=points, last=points)
def test_substitution(
    a: Affine, b: Affine, c: Affine, at: dict[str, int], last: dict[str, int]
) -> None:
    """Indices replace indices, all at once."""
    moved = {"t": exact(b, at, last), "k": exact(c, at, last)}
    inner = exact(a.substitute({"t": b, "k": c}), at, last)
    expected = Fraction(a.constant) + sum(n * moved.get(x, Fraction(at[x])) for x, n in a.terms)
    expected += sum(n * last[x] for x, n in a.lasts)
    assert inner == expected / a.divisor


@fixed
@given(a=indices(), b=indices(whole=True), axis=st.sampled_from(AXES), at=points, last=points)
def test_solving(a: Affine, b: Affine, axis: str, at: dict[str, int], last: dict[str, int]) -> None:
    """What `solve` finds, put in, gives the value wanted."""
    assume(a.coefficient(axis))
    value = b.substitute({axis: Affine.number(2)})
    solution = a.solve(axis, value)
    assert axis not in solution.axes
    assert exact(a.substitute({axis: solution}), at, last) == exact(value, at, last)


@fixed
@given(a=indices(), at=points, last=points)
def test_renaming(a: Affine, at: dict[str, int], last: dict[str, int]) -> None:
    names = {"t": "u", "k": "t"}
    new_at, new_last = ({names.get(n, n): v for n, v in m.items()} for m in (at, last))
    assert exact(a.rename(names), new_at, new_last) == exact(a, at, last)


@fixed
@given(a=indices(), b=indices(), at=points, last=points)
def test_equal_functions_are_equal(
    a: Affine, b: Affine, at: dict[str, int], last: dict[str, int]
) -> None:
    """The form is canonical, so that equal references are found by comparing them."""
    assert a + b == b + a
    assert a + b - b == a
    assert (a * 6) // 6 == a
    assert (a == b) <= (exact(a, at, last) == exact(b, at, last))


def test_renaming_can_merge_axes() -> None:
    assert (T + K * 2 - S).rename({"k": "t", "s": "t"}) == T * 2


def test_offsets() -> None:
    assert (T - 3).offset_from("t") == -3
    assert T.offset_from("t") == 0
    for other in (T * 2, T + K, T // 2, Affine.last("t") - T, Affine.number(1), K):
        assert other.offset_from("t") is None


def test_leaving_a_domain() -> None:
    stays = (T, Affine.number(0), Affine.last("t"))
    assert not any(i.may_leave("t") or i.may_pass_the_end("t") for i in stays)
    assert (T - 1).may_leave("t") and not (T - 1).may_pass_the_end("t")
    for index in (T + 1, Affine.number(3), T * 2, K, Affine.last("s"), Affine.last("t") - T):
        assert index.may_leave("t") and index.may_pass_the_end("t")


def test_being_outside_for_good() -> None:
    end, other = Affine.last("t"), Affine.last("s")
    for index in (Affine.number(-1), end + 1, T - T - 1, T * -1 - 1, end + K + 1, end * 2 + 1):
        assert index.is_outside("t"), index
    for index in (T - end - 1, K - Affine.last("k") - 2, end - other - end - 1):
        assert index.is_outside("t"), index
    for index in (T - 1, T + 1, end, end - 1, end - T, Affine.number(3), end + 1 - T, other + 1):
        assert not index.is_outside("t"), index
    assert not ((T - 3) // 2).is_outside("t")


def test_constants() -> None:
    assert Affine.number(3).is_constant
    assert not any(i.is_constant for i in (T, Affine.last("t"), Affine.number(3) // 2))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="does not use axis k"):
        (T + 1).solve("k", T)
    with pytest.raises(ValueError, match="divide an index by 0"):
        T // 0


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (T - 1, "t-1"),
        (T * 2 + K - 1, "k+2*t-1"),
        (Affine.last("t") - T, "-t+last(t)"),
        ((T - K + 1) // 2, "(-k+t+1)/2"),
        (Affine.number(-3), "-3"),
        (T - T, "0"),
    ],
)
def test_printing(index: Affine, text: str) -> None:
    assert str(index) == text


def test_adjoint_of_a_strided_window() -> None:
    """x[2*t+k-1] reads p at t = (p-k+1)/2, where that is a whole number."""
    solution = (T * 2 + K - 1).solve("t", Affine.axis("p"))
    assert solution.evaluate({"p": 5, "k": 2}, {}) == (2, True)
    assert solution.evaluate({"p": 5, "k": 1}, {}) == (2, False)
