"""Damaged specs give a model or a diagnostic; `python -m tests.fuzz` runs 20,000 of them."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import case
from tests.fuzz.mutate import corpus, mutated

TEXTS = corpus()


def test_damaged_specs() -> None:
    outcomes: dict[str, int] = {}
    for number in range(60):
        _, found, wrong, _ = case((1, number, TEXTS))
        assert not wrong, f"case {number}: {found}\n{wrong}\n{mutated(1, number, TEXTS)}"
        outcomes[found] = outcomes.get(found, 0) + 1
    assert set(outcomes) == {"model", "diagnostic"}


def test_a_case_is_the_same_every_time() -> None:
    assert [mutated(5, n, TEXTS) for n in range(20)] == [mutated(5, n, TEXTS) for n in range(20)]


def test_a_crash_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("tests.fuzz.__main__.outcome", broken)
    assert case((0, 0, TEXTS))[1] == "crash"
