"""Types of values: dimensions that know their names, shapes, kinds."""

from __future__ import annotations

import pytest

from unfold.core.types import BOOL, REAL, Dim, Type, dims


def test_a_dimension_is_a_number_with_a_name() -> None:
    hidden = Dim(128, "hidden")
    assert hidden == 128 and hidden.text == "hidden" and hidden.show() == "hidden (128)"
    assert Dim(128).text == "128" and Dim(128).show() == "128"
    assert hash(Type((hidden,))) == hash(Type((128,))) and Type((hidden,)) == Type((128,))


@pytest.mark.parametrize(
    ("text", "value", "parts", "expected"),
    [
        ("4*hidden", 512, 4, "hidden"),
        ("512", 512, 4, "128"),
        ("hidden", 512, 4, "(hidden)/4"),
        ("4*hidden+4", 516, 4, "(4*hidden+4)/4"),
        ("40*hidden", 5120, 4, "(40*hidden)/4"),
    ],
)
def test_division_of_a_named_dimension(text: str, value: int, parts: int, expected: str) -> None:
    part = Dim(value, text).divided(parts)
    assert (int(part), part.text) == (value // parts, expected)


def test_dims_keeps_names() -> None:
    names = [d.text for d in dims((Dim(3, "features"), 7))]
    assert names == ["features", "7"]


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (REAL, "a number"),
        (BOOL, "true or false"),
        (Type((Dim(512, "4*hidden"), Dim(65, "vocab"))), "[4*hidden, vocab] = [512, 65]"),
        (Type((3, 2)), "[3, 2]"),
        (Type((Dim(65, "vocab"),), "category"), "a category of vocab (65)"),
    ],
)
def test_how_types_are_shown(type: Type, text: str) -> None:
    assert type.show() == text


def test_a_category_is_stored_as_one_integer() -> None:
    assert Type((65,), "category").stored == () and Type((65,)).stored == (65,)
