"""Built-in tasks: languages against definitions by hand, and what makes the other tasks what they
are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feeding import reading
from unfold.errors import DataError
from unfold.settings.tasks import (
    Adding,
    AnBn,
    AnBnCn,
    Copy,
    EmbeddedReber,
    Reber,
    Task,
    Tomita,
)
from unfold.training.data import make
from unfold.training.data.columns import Examples
from unfold.training.data.judge import right_by_rank, right_by_threshold, right_sequences
from unfold.training.tasks.grammars import (
    EMBEDDED_REBER,
    REBER,
    REBER_SYMBOLS,
    TOMITA,
    counting_legal,
    draw_string,
)
from unfold.training.tasks.tasks import draw

# The seven languages as Tomita (1982) describes them, with the means of another formalism.
TOMITA_BY_HAND: dict[int, Callable[[str], bool]] = {
    1: lambda s: re.fullmatch("1*", s) is not None,
    2: lambda s: re.fullmatch("(10)*", s) is not None,
    3: lambda s: (
        not any(len(ones) % 2 and len(zeros) % 2 for ones, zeros in re.findall("(1+)(0+)", s))
    ),
    4: lambda s: "000" not in s,
    5: lambda s: s.count("0") % 2 == 0 and s.count("1") % 2 == 0,
    6: lambda s: (s.count("1") - s.count("0")) % 3 == 0,
    7: lambda s: re.fullmatch("0*1*0*1*", s) is not None,
}
# Counts of members of lengths 0 to 7, from the table of systems to reproduce.
TOMITA_COUNTS = {
    1: [1, 1, 1, 1, 1, 1, 1, 1],
    2: [1, 0, 1, 0, 1, 0, 1, 0],
    3: [1, 2, 3, 6, 10, 18, 32, 56],
    4: [1, 2, 4, 7, 13, 24, 44, 81],
    5: [1, 0, 2, 0, 8, 0, 32, 0],
    6: [1, 0, 2, 2, 6, 10, 22, 42],
    7: [1, 2, 4, 8, 15, 26, 42, 64],
}
# Reber's grammar as one regular expression: the upper way, the lower one, and how they meet.
LOWER = "T*V(PXT*V)*(V|PS)"
REBER_BY_HAND = f"B(TS*X(S|X{LOWER})|P{LOWER})E"


def strings(length: int) -> list[str]:
    """Return every string of 0 and 1 of a length."""
    return ["".join(s) for s in itertools.product("01", repeat=length)]


def words(examples: Examples, name: str, alphabet: str) -> list[str]:
    """Return the strings of a column."""
    column = examples.columns[name]
    lengths = column.lengths
    rows = column.take(np.arange(column.count), -1)
    assert lengths is not None
    return ["".join(alphabet[c] for c in r[:n]) for r, n in zip(rows, lengths, strict=True)]


@pytest.mark.parametrize("grammar", range(1, 8))
def test_tomita_is_what_tomita_says(grammar: int) -> None:
    automaton, member = TOMITA[grammar], TOMITA_BY_HAND[grammar]
    counts = []
    for length in range(11):
        every = strings(length)
        assert [automaton.accepts(s) for s in every] == [member(s) for s in every]
        counts.append(sum(map(member, every)))
    assert counts[:8] == TOMITA_COUNTS[grammar]


@pytest.mark.parametrize("grammar", range(1, 8))
def test_tomita_draws_members_and_others(grammar: int) -> None:
    task = Tomita(grammar=grammar, length=[1, 9])
    examples = draw(task, np.random.default_rng(3), 400)
    symbols = words(examples, "symbol", "01")
    member = TOMITA_BY_HAND[grammar]
    accepted = examples.columns["accepted"].values
    assert accepted.tolist() == [int(member(s)) for s in symbols]
    assert 150 < accepted.sum() < 250
    assert {len(s) for s in symbols} == set(range(1, 10))
    prefixes = words(examples, "prefix", "01")
    for string, prefix in zip(symbols[:50], prefixes[:50], strict=True):
        wanted = "".join("01"[member(string[:n])] for n in range(1, len(string) + 1))
        assert prefix == wanted


def test_strings_of_a_length_are_drawn_uniformly() -> None:
    generator = np.random.default_rng(1)
    members = [s for s in strings(5) if TOMITA_BY_HAND[4](s)]
    drawn = [draw_string(TOMITA[4], generator, 5, True) for _ in range(4800)]
    counts = np.array([drawn.count(s) for s in members])
    assert counts.sum() == 4800
    expected = 4800 / len(members)
    assert ((counts - expected) ** 2 / expected).sum() < 49.7  # chi², 23 degrees, p = 0.001


def test_where_no_string_is_a_member_there_are_only_others() -> None:
    examples = draw(Tomita(grammar=2, length=7), np.random.default_rng(0), 20)
    assert examples.columns["accepted"].values.sum() == 0


@given(st.text(alphabet=REBER_SYMBOLS, min_size=2, max_size=8))
def test_reber_accepts_what_the_expression_matches(inside: str) -> None:
    for string in (inside, f"B{inside}E"):
        assert REBER.accepts(string) == bool(re.fullmatch(REBER_BY_HAND, string))


@pytest.mark.parametrize(
    ("task", "pattern"),
    [
        (Reber(), REBER_BY_HAND),
        (EmbeddedReber(), f"B(T{REBER_BY_HAND}T|P{REBER_BY_HAND}P)E"),
    ],
)
def test_reber_strings_and_their_successors(task: Task, pattern: str) -> None:
    examples = draw(task, np.random.default_rng(7), 300)
    read = words(examples, "symbol", REBER_SYMBOLS)
    said = words(examples, "next", REBER_SYMBOLS)
    legal = examples.columns["legal"].take(np.arange(300), 0)
    for row, (x, y) in enumerate(zip(read, said, strict=True)):
        assert x[1:] == y[:-1]
        assert re.fullmatch(pattern, x + y[-1])
        assert legal[row, np.arange(len(y)), [REBER_SYMBOLS.index(c) for c in y]].all()
        assert legal[row, len(y) :].sum() == 0
    assert set(legal.sum(-1)[legal.sum(-1) > 0]) == {1, 2}
    assert len({*read}) > 50


def test_legal_successors_are_those_that_lead_to_a_string() -> None:
    """Against all short strings: a symbol is legal if some string of the language goes on so."""
    automaton = EMBEDDED_REBER
    level, members = [""], set[str]()
    for _ in range(16):
        level = [s + c for s in level for c in REBER_SYMBOLS if automaton.run(s + c) is not None]
        members.update(s for s in level if automaton.accepts(s))
    pattern = f"B(T{REBER_BY_HAND}T|P{REBER_BY_HAND}P)E"
    assert all(re.fullmatch(pattern, s) for s in members)
    assert min(map(len, members)) == 9
    follows: dict[str, set[str]] = {}
    for string in members:
        for n in range(1, len(string)):
            follows.setdefault(string[:n], set()).add(string[n])
    for prefix in (p for p in follows if len(p) < 7):  # all of these can end within 16 symbols
        legal = automaton.legal(prefix)[-1]
        assert {REBER_SYMBOLS[i] for i in np.flatnonzero(legal)} == follows[prefix]


@pytest.mark.parametrize(("task", "letters"), [(AnBn(n=[2, 6]), "ab"), (AnBnCn(n=[2, 6]), "abc")])
def test_counting_languages(task: Task, letters: str) -> None:
    examples = draw(task, np.random.default_rng(5), 60)
    alphabet = "$" + letters
    members = {"$" + "".join(c * n for c in letters) + "$" for n in range(2, 30)}
    legal = examples.columns["legal"].take(np.arange(60), 0)
    seen = set()
    for row, (x, y) in enumerate(
        zip(words(examples, "symbol", alphabet), words(examples, "next", alphabet), strict=True)
    ):
        assert x[1:] == y[:-1]
        assert x + y[-1] in members
        seen.add(x.count("a"))
        for step in range(len(x)):
            prefix = x[: step + 1]
            wanted = {m[len(prefix)] for m in members if m.startswith(prefix) and m != prefix}
            assert {alphabet[i] for i in np.flatnonzero(legal[row, step])} == wanted
    assert seen == {2, 3, 4, 5, 6}


def test_one_a_may_be_followed_by_b_only_where_one_is_enough() -> None:
    assert counting_legal("ab", 2, smallest=1).tolist() == [
        [0, 1, 0],
        [0, 1, 1],
        [0, 1, 1],
        [0, 0, 1],
        [1, 0, 0],
    ]
    assert counting_legal("ab", 2, smallest=2)[1].tolist() == [0, 1, 0]


def test_adding_sums_the_marked_numbers() -> None:
    examples = draw(Adding(length=[1, 12]), np.random.default_rng(2), 500)
    pairs = examples.columns["pair"].take(np.arange(500), 0)
    lengths = examples.columns["pair"].lengths
    sums = examples.columns["sum"].values
    assert lengths is not None
    assert set(lengths) == set(range(1, 13))
    np.testing.assert_allclose((pairs[..., 0] * pairs[..., 1]).sum(1), sums, rtol=1e-15)
    assert (pairs[..., 1].sum(1) == np.minimum(lengths, 2)).all()
    for pair, length in zip(pairs, lengths, strict=True):
        if length > 1:
            first, second = np.flatnonzero(pair[:, 1])
            assert first < length // 2 <= second < length


def test_the_constant_answer_to_adding_has_its_known_error() -> None:
    sums = draw(Adding(length=20), np.random.default_rng(2), 20_000).columns["sum"].values
    assert np.mean((sums - 1) ** 2) == pytest.approx(1 / 6, abs=0.005)


def test_copy_is_laid_out_as_published() -> None:
    task = Copy(delay=5, items=3, symbols=4)
    examples = draw(task, np.random.default_rng(2), 50)
    symbol, target = (examples.columns[n].values for n in ("symbol", "target"))
    assert symbol.shape == target.shape == (50, 11)
    assert symbol[:, :3].max() < 4
    np.testing.assert_array_equal(symbol[:, 3:], [[4, 4, 4, 4, 5, 4, 4, 4]] * 50)
    np.testing.assert_array_equal(target[:, :8], np.full((50, 8), 4))
    np.testing.assert_array_equal(target[:, 8:], symbol[:, :3])
    # Blanks for sure and items by chance: 10·ln 8/(T+20) for the published sizes.
    guess = task.items * log(task.symbols) / target.shape[1]
    assert guess == pytest.approx(3 * log(4) / (5 + 2 * 3))


def test_reversal_has_two_axes_and_an_end() -> None:
    data = make.task(
        "reversal",
        {"length": [2, 6], "symbols": 4},
        inputs={"x": "source", "y": "target"},
        batch=30,
    )
    program = reading("x[s]: {category: n}", "y[t]: {category: m}", sizes="n: 2, m: 2")
    fit = data.fit(program)
    assert (fit.sizes, fit.axes) == ({"n": 4, "m": 5}, {"s": 6, "t": 7})
    program = reading("x[s]: {category: n}", "y[t]: {category: m}", sizes="n: 4, m: 5")
    batch = data.batches(program).train.batch(0)
    for x, y, n, m in zip(
        batch.inputs["x"], batch.inputs["y"], batch.lengths["s"], batch.lengths["t"], strict=True
    ):
        assert m == n + 1
        assert y[: m - 1].tolist() == x[:n][::-1].tolist()
        assert y[m - 1] == 4
        assert (x[n:] == -1).all()
        assert (y[m:] == -1).all()


SYMBOLS = reading("x[t]: {category: n}", "y[t]: {category: n}", sizes="n: 7")
INPUTS = {"x": "symbol", "y": "next"}


def test_every_batch_is_new_and_depends_on_seed_and_step_alone() -> None:
    def batches(seed: int) -> list[bytes]:
        data = make.task("reber", inputs=INPUTS, batch=4, seed=seed).batches(SYMBOLS)
        assert data.train.epoch is None
        order = [3, 0, 1, 2]
        found = {step: data.train.batch(step).inputs["x"].tobytes() for step in order}
        return [found[step] for step in range(4)]

    assert batches(1) == batches(1)
    assert len({*batches(1), *batches(2)}) == 8


def test_a_set_of_sequences_has_epochs_and_others_to_validate_with() -> None:
    data = make.task("reber", inputs=INPUTS, batch=4, count=10, validation=6)
    found = data.batches(SYMBOLS)
    assert found.told == "reber, 10 sequences; 6 to validate with"
    assert found.train.epoch == 3
    train = {r.tobytes() for s in range(3) for r in _rows(found.train.batch(s))}
    again = {r.tobytes() for s in range(3, 6) for r in _rows(found.train.batch(s))}
    kept = [r.tobytes() for b in found.validation_batches() for r in _rows(b)]
    assert train == again
    assert len(kept) == 6
    assert found.facts["counts"] == {"train": 10, "validation": 6}
    given = make.task("reber", inputs=INPUTS, batch=6, count=10, order="given").batches(SYMBOLS)
    assert kept != [r.tobytes() for r in _rows(given.train.batch(0))]
    other = make.task("reber", inputs=INPUTS, batch=4, count=10, validation=6, seed=1)
    assert train != {
        r.tobytes() for s in range(3) for r in _rows(other.batches(SYMBOLS).train.batch(s))
    }


def _rows(batch: object) -> list[np.ndarray]:
    """Return the sequences of a batch without their padding."""
    inputs, lengths = batch.inputs["x"], batch.lengths["t"]  # type: ignore[attr-defined]
    return [row[:n] for row, n in zip(inputs, lengths, strict=True)]


def test_extents_are_those_of_the_longest_possible_sequence() -> None:
    program = reading("symbol[t]: {category: n}", "accepted: {category: n}")
    assert make.task("tomita", {"length": [1, 31]}).fit(program).axes == {"t": 31}
    assert make.task("reber", inputs=INPUTS).fit(SYMBOLS).axes == {}
    assert make.task("reber", inputs=INPUTS, count=5).fit(SYMBOLS).axes["t"] > 3


@pytest.mark.parametrize(
    ("inputs", "mapping", "message"),
    [
        ("x[t]: {category: n}", {}, "the input x gets no values: the data have no 'x'"),
        ("symbl[t]: {category: n}", {}, r"did you mean symbol\?"),
        (
            "x[t]: {category: 3}",
            {"x": "symbol"},
            "symbol has 7 classes, but x.t. is a category of 3",
        ),
        ("x[t]: [n]", {"x": "symbol"}, r"symbol is \[sequences, steps\], but x\[t\] is \[n\]"),
        (
            "x: {category: 7}",
            {"x": "symbol"},
            r"symbol is \[sequences, steps\], but x is a category",
        ),
        ("x[t]: {category: 7}", {"z": "symbol"}, "the spec has no input z"),
        ("x[t]: {category: 7}", {"x": "legal"}, "legal is .sequences, steps, 7., but x"),
    ],
)
def test_inputs_that_do_not_fit(inputs: str, mapping: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make.task("reber", inputs=mapping).batches(reading(inputs))


def test_judging_sets_of_legal_symbols() -> None:
    legal = np.array([[[1, 0, 1, 0], [0, 0, 0, 1]], [[1, 1, 0, 0], [0, 1, 0, 0]]])
    scores = np.array(
        [
            [[0.8, 0.1, 0.4, 0.3], [0.2, 0.1, 0.1, 0.6]],
            [[0.9, 0.6, 0.2, 0.1], [0.9, 0.8, 0.2, 0.1]],
        ]
    )
    assert right_by_rank(scores, legal).tolist() == [[True, True], [True, False]]
    assert right_by_threshold(scores, legal).tolist() == [[False, True], [True, False]]
    right = right_by_rank(scores, legal)
    assert right_sequences(right).tolist() == [True, False]
    assert right_sequences(right, np.array([2, 1])).tolist() == [True, True]


def test_what_is_drawn_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    program = reading("pair[t]: [2]", "sum: []", axes="t: 5")
    monkeypatch.setattr("unfold.core.bytes.available", lambda: 1 << 20)
    for key in ("count", "batch", "validation"):
        data = make.task("adding", {"length": 1000}, **{key: 50})
        message = "50 sequences needs 2.29 MiB of memory, but only 870 KiB may be used"
        with pytest.raises(DataError, match=message):
            data.fit(program)
    drawn = make.describe({"random": True, "batch": 100_000})
    with pytest.raises(DataError, match="a random batch of 100,000 needs"):
        drawn.batches(program)
