"""examples/reproductions: the specs, the criteria on cases done by hand, short runs, the page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from examples.reproductions.criteria import (
    all_others,
    all_right,
    counting_strings,
    largest_run,
    last_but_one,
    predictions_right,
    sequences_until,
)
from examples.reproductions.experiments import EXPERIMENTS, FOLDER, Finding
from examples.reproductions.page import PAGE, block, put, told

WEIGHTS = {"embedded-reber-lstm-1997": 276, "embedded-reber-srn": 435}
LENGTHS = np.array([3, 4])
RIGHT = np.array([[True, False, True, False], [False, True, False, False]])


def test_every_spec_is_an_experiment_that_loads() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(EXPERIMENTS)
    for name, experiment in EXPERIMENTS.items():
        assert experiment.model.name == name
        assert experiment.model.spec.data is not None
        assert re.search(r"(19|20)\d\d", experiment.model.about), "name the source"


@pytest.mark.parametrize(("name", "weights"), WEIGHTS.items())
def test_networks_of_1997_have_as_many_weights_as_the_paper_says(name: str, weights: int) -> None:
    params = EXPERIMENTS[name].model.init()
    assert sum(array.size for array in params.values()) == weights


def test_nothing_teaches_the_srn_through_time() -> None:
    """A symbol that is read once, where nothing is asked, leaves its weights as they are."""
    model = EXPERIMENTS["embedded-reber-srn"].model
    params, begin = model.init(seed=0), 0
    inputs = {"x": np.array([[begin, 1, 2, 3]]), "next": np.array([[1, 2, 3, 4]])}
    _, asked = model.value_and_grad(params, inputs)
    inputs["next"][0, 0] = -1
    _, silent = model.value_and_grad(params, inputs)
    assert np.abs(asked["U"][:, begin]).max() > 0
    np.testing.assert_array_equal(silent["U"][:, begin], 0)


def test_last_but_one_and_all_others() -> None:
    assert last_but_one(RIGHT, LENGTHS) == 0
    assert last_but_one(RIGHT, LENGTHS - 1) == 1
    # Of string 1 the first and third, of string 2 the first, second and fourth.
    assert all_others(RIGHT, LENGTHS) == 3 / 5


def test_largest_run_stops_at_the_first_that_is_wrong() -> None:
    assert [largest_run(r) for r in ([], [False, True], [True, False, True])] == [0, 0, 1]
    assert largest_run(np.ones(7, dtype=bool)) == 7


def test_sequences_until_takes_the_mean_of_a_window() -> None:
    losses = [1.0, 0.0, 1.0, 0.0, 0.2, 0.0]
    assert sequences_until(losses, 0.3, batch=5, window=10) == 25
    assert sequences_until(losses, 0.05, batch=5, window=10) is None
    assert sequences_until(losses, 0.3, batch=5, window=50) is None


def test_counting_strings_are_written_out() -> None:
    strings = counting_strings(2)
    assert strings.symbol.tolist() == [[0, 1, 2, 0, -1], [0, 1, 1, 2, 2]]
    assert strings.next.tolist() == [[1, 2, 0, -1, -1], [1, 1, 2, 2, 0]]
    assert strings.lengths.tolist() == [3, 5]
    # $ → a; a → a or b; a → a or b; b → b; b → $
    assert strings.legal[1].tolist() == [[0, 1, 0], [0, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_a_counter_made_by_hand_is_right_and_a_broken_one_is_not() -> None:
    """Judge a known answer: h counts a's minus b's in its first unit, by design."""
    model = EXPERIMENTS["anbn-srn"].model
    small = 1e-3  # where tanh is a straight line
    params = {
        "W": np.array([[1.0, 0.0], [0.0, 0.0]]),
        "U": small * np.array([[0.0, 1.0, -1.0], [0.0, 0.0, 1.0]]),
        "b": np.zeros(2),
        # After an a, a and b; after a b, the end where the count is below a half.
        "V": np.array([[-1.0, 1.0, 1.0], [0.5, -9.0, 0.0]]).T / small,
        "c": np.zeros(3),
    }
    # The first symbol is $, with a count of 0: only there a has to lead b.
    params["U"][0, 0] = 0.0
    params["c"] = np.array([-0.2, 0.1, 0.0])
    strings = counting_strings(6)
    assert all_right(model, params, strings)
    broken = {**params, "W": 0.7 * params["W"]}
    right = predictions_right(model, broken, strings)
    assert right[0, :3].all() and not all_right(model, broken, strings)


@pytest.mark.parametrize("name", ["embedded-reber-lstm", "embedded-reber-srn"])
def test_a_short_run_reaches_nothing(name: str) -> None:
    found = EXPERIMENTS[name].run(0, steps=100)
    assert not found.reached
    assert found.cells[0] == "not in 100"
    assert len(found.cells) == len(EXPERIMENTS[name].columns)


def test_an_lstm_learns_embedded_reber() -> None:
    """A second or two: the seed of the page that is fastest."""
    found = EXPERIMENTS["embedded-reber-lstm"].run(7)
    assert found.reached and found.score > -3000, found
    assert float(found.cells[1].split()[0]) > 99


@pytest.mark.parametrize("name", ["anbn-srn", "adding-lstm"])
def test_the_other_experiments_run(name: str) -> None:
    found = EXPERIMENTS[name].run(0, steps=100)
    assert not found.reached
    assert len(found.cells) == len(EXPERIMENTS[name].columns)


def test_the_page_has_a_place_for_every_experiment() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in EXPERIMENTS:
        assert "WRITTEN" in put(page, name, "WRITTEN")
    with pytest.raises(ValueError, match="lacks the marks <!-- found: nothing -->"):
        put(page, "nothing", "")


def test_a_block_says_what_was_not_reached() -> None:
    experiment = EXPERIMENTS["embedded-reber-lstm"]
    findings = [Finding(s, s < 3, -s, ("1", "2", "3", "4"), 0.25) for s in range(10)]
    assert "3 of 10 seeds; the best, seed 0: 1. **Not reached**: 8 of 10" in told(
        experiment, findings
    )
    text = put(
        "a\n<!-- found: x -->\nSTALE\n<!-- end: x -->\nb\n", "x", block(experiment, findings)
    )
    assert text.startswith("a\n<!-- found: x -->\n| | |\n") and text.endswith(
        "<!-- end: x -->\nb\n"
    )
    assert "| 9 | no | 1 | 2 | 3 | 4 | 0.2 |" in text and "STALE" not in text
