"""examples/reproductions: criteria on cases done by hand, short runs, what is kept, the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    unlike,
    written_right,
)
from examples.reproductions.experiment import FOLDER, Experiment, Finding, spec
from examples.reproductions.page import PAGE, block, missed, put, told, whole
from examples.reproductions.registry import ROWS, choose, experiments
from examples.reproductions.results import (
    Record,
    code_of,
    fingerprint,
    keep,
    kept,
    record,
    results_by_row,
)
from unfold.training.data.columns import Column, Examples

EXPERIMENTS = experiments()
PLANNED = ("decoupled-steps", "second-order-cost")  # they read a Plan

WEIGHTS = {"embedded-reber-lstm-1997": 276, "embedded-reber-srn": 435}
LENGTHS = np.array([3, 4])
RIGHT = np.array([[True, False, True, False], [False, True, False, False]])


@pytest.mark.parametrize(("name", "weights"), WEIGHTS.items())
def test_networks_of_1997_have_as_many_weights_as_the_paper_says(name: str, weights: int) -> None:
    params = spec(name).init()
    assert sum(array.size for array in params.values()) == weights


def test_nothing_teaches_the_srn_through_time() -> None:
    """A symbol that is read once, where nothing is asked, leaves its weights as they are."""
    model = spec("embedded-reber-srn")
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


def test_written_right_wants_every_symbol_and_the_same_end() -> None:
    written = np.array([[1, 2, 0, 9], [1, 2, 0, 9], [3, 0, 9, 9], [1, 2, 2, 0]])
    wanted = np.array([[1, 2, 0], [1, 1, 0], [3, 0, -1], [1, 2, 0]])
    ends, lengths = np.array([3, 3, 2, 4]), np.array([3, 3, 2, 3])
    assert written_right(written, ends, wanted, lengths) == 2 / 4


def test_unlike_leaves_out_what_is_known() -> None:
    def words(*strings: str) -> Examples:
        codes = [[ord(symbol) for symbol in string] for string in strings]
        return Examples({"word": Column.ragged(codes)})

    found = unlike(words("ab", "a", "abb", "ba"), words("ab", "ba", "b"), "word")
    assert (
        found.columns["word"].padded().tolist()
        == words("a", "abb").columns["word"].padded().tolist()
    )


def test_counting_strings_are_written_out() -> None:
    strings = counting_strings(2)
    assert strings.symbol.tolist() == [[0, 1, 2, 0, -1], [0, 1, 1, 2, 2]]
    assert strings.next.tolist() == [[1, 2, 0, -1, -1], [1, 1, 2, 2, 0]]
    assert strings.lengths.tolist() == [3, 5]
    # $ → a; a → a or b; a → a or b; b → b; b → $
    assert strings.legal[1].tolist() == [[0, 1, 0], [0, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_a_counter_made_by_hand_is_right_and_a_broken_one_is_not() -> None:
    """Judge a known answer: h counts a's minus b's in its first unit, by design."""
    model = spec("anbn-srn")
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
def test_a_short_run_learns_nothing(name: str) -> None:
    found = EXPERIMENTS[name].run(0, steps=100).finding
    assert found.cells[0] == "not in 100"
    assert found.reached == (name == "embedded-reber-srn")


def test_an_lstm_learns_embedded_reber() -> None:
    """A second or two: the seed of the page that is fastest."""
    found = EXPERIMENTS["embedded-reber-lstm"].run(7).finding
    assert found.reached and found.score > -3000, found
    assert float(found.cells[1].split()[0]) > 99


@pytest.mark.parametrize("name", ["anbn-srn", "adding-lstm"])
def test_the_other_experiments_run(name: str) -> None:
    assert not EXPERIMENTS[name].run(0, steps=100).finding.reached


@pytest.mark.parametrize("name", [e.name for e in EXPERIMENTS.values() if e.quick])
def test_a_quick_experiment_finds_what_the_page_says(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name in PLANNED:
        request.getfixturevalue("compiled")
    experiment, found = EXPERIMENTS[name], kept(name)
    outcome = experiment.run(0)
    assert outcome.finding.reached or (found is not None and not found.reached), outcome


def _toy(needed: int = 8, **more: Any) -> Experiment:
    """Make an experiment whose first three seeds reach its criterion."""

    def measure(seed: int, steps: int = 1) -> Finding:
        return Finding(seed < 3, (str(seed), "a|b"), score=-seed)

    about = ("toy", ("E5", "E7"), "a toy", "small seeds", ("seed", "letters"))
    return Experiment(*about, measure, seeds=10, needed=needed, specs=(), **more)


def _found(experiment: Experiment) -> Record:
    return record(experiment, [experiment.run(seed) for seed in range(experiment.seeds)])


def test_a_finding_has_a_cell_for_each_column() -> None:
    toy = replace(_toy(), columns=("seed",))
    with pytest.raises(AssertionError, match="toy"):
        toy.run(0)


def test_results_are_kept_as_they_are(tmp_path: Path) -> None:
    found = _found(_toy())
    assert not found.reached and found.how_many == 3 and found.best["seed"] == 0
    assert found.seeds[2]["figures"] == {"seed": "2", "letters": "a|b"}
    keep(found, tmp_path / "new")
    assert kept("toy", tmp_path / "new") == found
    assert kept("nothing", tmp_path) is None
    assert _found(_toy(needed=3)).reached


def test_results_are_stale_when_a_spec_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    text = "unfold: 1\nname: toy\naxes: {t: 3}\ninputs: {x[t]: [2]}\nnodes: {y[t]: tanh(x[t])}\n"
    toy = replace(_toy(), specs=(str(file.with_suffix("")),))
    file.write_text(text)
    before = fingerprint(toy)
    about, draw = "about: >-\n  A\n\n  toy.\n", "draw: {steps: 2}\n"
    file.write_text(text.replace("axes", f"{about}axes") + draw)
    assert fingerprint(toy) == before
    file.write_text(text.replace("tanh", "exp"))
    assert fingerprint(toy) != before


def test_the_code_of_a_module_counts_and_its_prose_does_not() -> None:
    code = '"""About."""\ne = Experiment("a", title="b", seeds=1)\n'
    prose = code.replace("About", "Other").replace('title="b"', 'title="c"')
    assert code_of(code) == code_of(prose) != code_of(code.replace("seeds=1", "seeds=2"))


def test_choose_takes_names_and_rows() -> None:
    assert [e.name for e in choose(["anbn-srn"], [])] == ["anbn-srn"]
    chosen = {e.name for e in choose(["anbn-srn"], ["e7"])}
    assert {"anbn-srn", "adding-lstm"} <= chosen and "embedded-reber-srn" not in chosen
    assert len(choose([], [])) == len(EXPERIMENTS)
    with pytest.raises(ValueError, match="no experiment is called 'anbm'; there are "):
        choose(["anbm"], [])
    with pytest.raises(ValueError, match="there is no row 'Z9'"):
        choose([], ["Z9"])


def test_rows_have_what_their_experiments_found() -> None:
    found = results_by_row()
    assert list(found)[:2] == ["A1", "A2"] and len(found) == 47
    assert ("adding-lstm", True) in found["E7"]
    assert "embedded-reber-lstm-1997" not in dict(found["E5"])  # for comparison only


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_an_experiment(row: str) -> None:
    assert any(e.asked for e in EXPERIMENTS.values() if row in e.systems)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_whole(name: str) -> None:
    experiment, found = EXPERIMENTS[name], kept(name)
    assert set(experiment.systems) <= set(ROWS)
    assert experiment.needed <= experiment.seeds
    for spec_name in experiment.spec_names:
        assert spec(spec_name).name == spec_name
    if found is not None:
        assert [seed["seed"] for seed in found.seeds] == list(range(experiment.seeds))
        assert found.reached or experiment.why, "say why the criterion is not reached"


def test_every_spec_that_lies_there_is_run() -> None:
    run = {name for experiment in EXPERIMENTS.values() for name in experiment.spec_names}
    for file in FOLDER.glob("*.yaml"):
        assert file.stem in run
        assert re.search(r"(19|20)\d\d", spec(file.stem).about), "name the source"


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert put(page, whole()) == page, "write it:  python -m examples.reproductions --page"
    for number, line in enumerate(page.splitlines(), 1):
        assert not line.startswith("|") or line.endswith("|"), f"line {number}: a broken table"


def test_a_block_says_what_was_found() -> None:
    text = block(_toy(published="all", notes="Some notes."), _found(_toy()))
    assert text.startswith("### toy\n\nSome notes.\n\n|")
    assert "| shown | a toy (E5, E7) |" in text and "| published | all |" in text
    assert "**not reached** (8 of 10 needed): 3 of 10 seeds; the best, seed 0: seed: 0" in text
    assert "| 9 | no | 9 | a\\|b | 0.0 |" in text


def test_one_seed_shows_all_its_figures() -> None:
    toy = replace(_toy(), seeds=1, needed=1)
    assert told(toy, _found(toy)) == "seed: 0; letters: a|b"


def test_what_was_not_reached_is_listed_with_the_reason() -> None:
    toy = _toy(why="it is\na toy.")
    assert missed([(toy, _found(toy))]).endswith("* [a toy](#toy) (E5, E7): it is a toy.")
    assert missed([]).endswith("None: all criteria are met.")


def test_a_page_needs_its_marks() -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        put("# A page\n", "text")
