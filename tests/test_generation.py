"""Free running: what is written equals NumPy programs written here, however it is cut and stopped.

The language model of these tests is run by hand in `by_hand`, the decoder by the reference's own
free mode, and top-k and top-p by sorting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold
from tests.differential.interpreted import interpret
from unfold.errors import DataError, UnfoldError, UnsupportedError
from unfold.generation import Decoding, make_wish

VOCABULARY, HIDDEN = 7, 5
LANGUAGE = f"""\
unfold: 1
name: speech
axes: {{t: 6}}
sizes: {{vocab: {VOCABULARY}, hidden: {HIDDEN}}}
inputs:
  x[t]: {{category: vocab}}
  target[t]: {{category: vocab}}
parameters:
  W: [hidden, hidden]
  U: [hidden, vocab]
  V: [vocab, hidden]
  b: [vocab]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  y[t]: V @ h[t] + b
loss: mean[t](cross_entropy(y[t], target[t]))
data: {{text: {{string: "abcdefgabcdefgabcdefg"}}, input: x, target: target, batch: 2}}
"""
DECODER = """\
unfold: 1
name: decoder
axes: {t: 6}
sizes: {vocab: 7, hidden: 5, context: 3}
inputs:
  v: [context]
  y[t]: {category: vocab}
parameters:
  W: [hidden, hidden]
  R: [hidden, vocab]
  K: [hidden, context]
  V: [vocab, hidden]
nodes:
  prev[t]: feedback(teacher=y[t-1], free=FREE)
  d[t]: tanh(W @ d[t-1] + R @ prev[t] + K @ v)
  o[t]: V @ d[t]
  choice[t]: argmax(o[t])
initial: {y: 2}
loss: mean[t](cross_entropy(o[t], y[t]))
"""


def drawn(model: unfold.Model, seed: int = 0, dtype: str = "float64") -> dict[str, Any]:
    """Return parameters that are large enough for scores to differ."""
    generator = np.random.default_rng(seed)
    return {n: generator.normal(size=a.shape).astype(dtype) for n, a in model.init().items()}


@pytest.fixture(scope="module")
def speech() -> unfold.Model:
    """Return a language model without feedback."""
    return unfold.loads(LANGUAGE)


@pytest.fixture(scope="module")
def params(speech: unfold.Model) -> dict[str, Any]:
    """Return its parameters."""
    return drawn(speech)


def decoder(free: str = "choice[t-1]", more: str = "") -> unfold.Model:
    """Return a spec that writes from a vector."""
    return unfold.loads(DECODER.replace("FREE", free) + more)


def by_hand(
    p: dict[str, Any],
    prompt: list[int],
    steps: int,
    noise: Any,
    kept: Any = lambda scores: np.ones(len(scores), bool),
) -> list[int]:
    """Run the language model one symbol at a time."""
    h, written = np.zeros(HIDDEN), list(prompt)
    for place, symbol in enumerate(prompt):
        h = np.tanh(p["W"] @ h + p["U"][:, symbol])
        if place == len(prompt) - 1:
            break
    for step in range(steps):
        scores = p["V"] @ h + p["b"]
        choice = int(np.argmax(np.where(kept(scores), scores, -np.inf) + noise[step]))
        written.append(choice)
        h = np.tanh(p["W"] @ h + p["U"][:, choice])
    return written[len(prompt) :]


def gumbel(seed: int, row: int, steps: int, temperature: float) -> Any:
    """Return the numbers that a row draws."""
    generator = np.random.Generator(np.random.PCG64([seed, row]))
    return temperature * generator.gumbel(size=(steps, VOCABULARY))


# What is written


@pytest.mark.parametrize("prompt", [[3], [3, 1], [0, 6, 2, 5]])
def test_a_language_model_writes_what_it_says(
    speech: unfold.Model, params: dict[str, Any], prompt: list[int]
) -> None:
    greedy = speech.generate(params, prompt=prompt, length=12)
    assert greedy[0].tolist() == by_hand(params, prompt, 12, np.zeros((12, 1)))
    warm = speech.generate(params, prompt=prompt, length=12, temperature=1.7, seed=5)
    assert warm[0].tolist() == by_hand(params, prompt, 12, gumbel(5, 0, 12, 1.7))
    assert warm[0].tolist() != greedy[0].tolist()


@pytest.mark.parametrize("engine", ["interpreted", "numba"])
def test_compiled_runs_write_the_same(engine: str) -> None:
    model = unfold.loads(LANGUAGE)
    params = drawn(model, 1)
    if engine == "interpreted":
        interpret(model)
    rules = [{"temperature": 0.8}]
    if engine == "interpreted":
        rules += [{"temperature": 0.8, "top_k": 3}, {"top_p": 0.6}, {"temperature": 0}]
    for rule in rules:
        asked: dict[str, Any] = {"prompt": [1, 2], "length": 10, "number": 3, "seed": 4, **rule}
        one = model.generate(params, backend="numba", **asked)
        assert (
            one.values.tolist()
            == model.generate(params, backend="reference", **asked).values.tolist()
        )
        pieces = model.writer.stream(params, make_wish(**asked), backend="numba", chunk=4)
        joined = np.concatenate([p.values for p in pieces], axis=1)
        np.testing.assert_array_equal(joined, one.values)


def test_rows_have_random_numbers_of_their_own(
    speech: unfold.Model, params: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"prompt": [1], "length": 8, "temperature": 2.0, "seed": 3}
    many = speech.generate(params, number=4, **asked).values
    np.testing.assert_array_equal(many[:2], speech.generate(params, number=2, **asked).values)
    assert len({tuple(row) for row in many.tolist()}) == 4
    assert many.tolist() == speech.generate(params, number=4, **asked).values.tolist()
    asked["seed"] = 4
    assert many.tolist() != speech.generate(params, number=4, **asked).values.tolist()


def test_draws_follow_the_probabilities() -> None:
    model = unfold.loads(LANGUAGE)
    params = {n: np.zeros_like(a) for n, a in model.init().items()}
    shares = np.array([0.05, 0.1, 0.15, 0.2, 0.1, 0.3, 0.1])
    params["b"] = 2.0 * np.log(shares)
    written = model.generate(params, prompt=[0], length=8, number=500, temperature=2.0).values
    found = np.bincount(written.reshape(-1), minlength=VOCABULARY) / 4000
    np.testing.assert_allclose(found, shares, atol=0.03)


def test_the_best_few_are_those_of_sorting(speech: unfold.Model, params: dict[str, Any]) -> None:
    steps, rows, warm = 6, 8, 1.5

    def best(scores: Any, count: int = VOCABULARY, share: float = 1.0) -> Any:
        order = np.argsort(-scores)
        p = np.exp(scores / warm) / np.exp(scores / warm).sum()
        within = np.concatenate([[True], np.cumsum(p[order])[:-1] < share])
        kept = np.zeros(len(scores), bool)
        kept[order[within & (np.arange(len(scores)) < count)]] = True
        return kept

    names = {"count": "top_k", "share": "top_p"}
    asked: dict[str, Any] = {"prompt": [2], "length": steps, "number": rows, "seed": 9}
    plain = speech.generate(params, temperature=warm, **asked)
    for rule in ({"count": 3}, {"share": 0.7}, {"count": 4, "share": 0.8}, {"count": 1}):
        options = {names[n]: x for n, x in rule.items()}
        found = speech.generate(params, temperature=warm, **asked, **options)
        for row in range(rows):
            noise = gumbel(9, row, steps, warm)
            expected = by_hand(params, [2], steps, noise, lambda s, rule=rule: best(s, **rule))
            assert found[row].tolist() == expected, rule
        assert found.values.tolist() != plain.values.tolist()
    assert found[0].tolist() == by_hand(params, [2], steps, np.zeros((steps, 1)))
    everything = speech.generate(params, temperature=warm, **asked, top_k=99, top_p=1.0)
    np.testing.assert_array_equal(everything.values, plain.values)


def test_equal_scores_share_the_last_place() -> None:
    model = unfold.loads(LANGUAGE)
    params = {n: np.zeros_like(a) for n, a in model.init().items()}
    params["b"] = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    written = model.generate(params, prompt=[0], length=2, number=50, temperature=1.0, top_k=2)
    assert set(written.values.reshape(-1).tolist()) == {0, 1, 4}


# A spec's own feedback


FREE = ["choice[t-1]", "argmax(o[t-1])"]


@pytest.mark.parametrize("free", FREE)
def test_a_feedback_is_run_as_the_reference_runs_it(free: str) -> None:
    model = decoder(free)
    params, v = drawn(model, 2), np.random.default_rng(3).normal(size=(4, 3))
    whole = model.forward(params, {"v": v}, mode="free", lengths={"t": [9] * 4})
    written = model.generate(params, {"v": v}, length=9)
    np.testing.assert_array_equal(written.values, whole["choice"])
    begun = model.generate(params, {"v": v}, prompt=whole["choice"][:, :4], length=5)
    np.testing.assert_array_equal(begun.values, whole["choice"][:, 4:])


def test_a_prompt_is_read_with_the_teacher() -> None:
    model = decoder()
    params, v = drawn(model, 2), np.ones((1, 3))
    prompt = np.array([[5, 0, 3]])
    after = np.concatenate([prompt, [[0]]], axis=1)
    said = model.forward(params, {"v": v, "y": after})["choice"][0, 3]
    assert model.generate(params, {"v": v}, prompt=prompt, length=2)[0][0] == said
    assert model.generate(params, {"v": v}, prompt=prompt[0], length=2)[0][0] == said


def test_the_samples_of_a_spec_have_their_own_temperature() -> None:
    plain, own = decoder(), decoder("sample(o[t-1], temperature=0.4)")
    params, v = drawn(plain, 2), np.ones((1, 3))
    asked: dict[str, Any] = {"length": 12, "seed": 6, "number": 2}
    warm = own.generate(params, {"v": v}, **asked).values
    as_told = plain.generate(params, {"v": v}, temperature=0.4, **asked).values
    np.testing.assert_array_equal(warm, as_told)
    cold = own.generate(params, {"v": v}, temperature=0, **asked).values
    np.testing.assert_array_equal(cold, plain.generate(params, {"v": v}, **asked).values)
    assert warm.tolist() != cold.tolist()


@pytest.mark.parametrize("name", ["encoder-decoder", "attention", "teacher-forcing"])
def test_specs_of_the_library_write(name: str) -> None:
    model = unfold.load(name, axes={"t": 5})
    params = drawn(model, 4)
    generator = np.random.default_rng(5)
    inputs: dict[str, Any] = {"x": generator.integers(0, 8, (3, 9))}
    if name == "teacher-forcing":
        inputs = {"x": generator.normal(size=(3, 5, 6))}
    whole = model.forward(params, inputs, mode="free")["choice"]
    written = model.generate(params, inputs)
    np.testing.assert_array_equal(written.values, whole)
    begun = model.generate(params, inputs, prompt=whole[:, :2], length=3).values
    np.testing.assert_array_equal(begun, whole[:, 2:])


def test_numbers_are_fed_back_too() -> None:
    model = unfold.load("pattern-output", axes={"t": 5})
    params, x = drawn(model, 4), np.random.default_rng(5).normal(size=(2, 5, 6))
    whole = model.forward(params, {"x": x}, mode="free")["o"]
    written = model.generate(params, {"x": x})
    np.testing.assert_allclose(written.values, whole, rtol=1e-12)
    begun = model.generate(params, {"x": x}, prompt=whole[:, :3])
    np.testing.assert_allclose(begun.values, whole[:, 3:], rtol=1e-12)


def test_a_series_goes_on_by_itself() -> None:
    text = """\
unfold: 1
name: wave
axes: {t: 4}
inputs: {x[t]: [], y[t]: []}
parameters: {a: [], b: []}
nodes:
  o[t]: a * x[t] + b * x[t-1]
loss: mean[t](mse(o[t], y[t]))
data: {series: sunspots, inputs: {x: sunspots}, targets: {y: sunspots}, stride: 1}
"""
    model = unfold.loads(text)
    turn = 2 * np.cos(0.3)
    wave = np.cos(0.3 * np.arange(30))
    params = {"a": np.array(turn), "b": np.array(-1.0)}
    written = model.generate(params, prompt=wave[:5], length=20)
    np.testing.assert_allclose(written[0], wave[5:25], atol=1e-10)


# Stopping


def test_an_end_symbol_ends_a_row(speech: unfold.Model, params: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"prompt": [1], "length": 30, "number": 6, "temperature": 2.0}
    free, cut = speech.generate(params, **asked), speech.generate(params, end=4, **asked)
    assert len(set(cut.lengths.tolist())) > 1
    for row in range(6):
        whole = free[row].tolist()
        length = whole.index(4) + 1 if 4 in whole else 30
        assert cut[row].tolist() == whole[:length]
        assert (cut.values[row, length:] == -1).all()
    pieces = list(speech.writer.stream(params, make_wish(end=4, **asked), chunk=3))
    assert sum(p.lengths for p in pieces).tolist() == cut.lengths.tolist()


STOPS = {
    "symbol": "stop: {when: argmax(o[t]) == 4, at_most: 15}\n",
    "choice": "stop: {when: choice[t] == 4, at_most: 15}\n",
    "halt": "stop: {when: sum(d[t]) > 1.5, at_most: 15}\n",
    "extent": "stop: {extent: {t: exp(sum(v))}, at_most: 15}\n",
}


@pytest.mark.parametrize("stop", STOPS)
def test_the_stopping_rules_of_a_spec(stop: str) -> None:
    model = decoder(more=STOPS[stop])
    params, v = drawn(model, 2), np.random.default_rng(6).normal(size=(5, 3))
    whole = model.forward(params, {"v": v}, mode="free")
    written = model.generate(params, {"v": v})
    assert len(set(written.lengths.tolist())) > 1
    assert written.lengths.tolist() == whole.lengths["t"].tolist()
    for row, length in enumerate(written.lengths):
        assert written[row].tolist() == whole["choice"][row, :length].tolist()
    assert model.generate(params, {"v": v}, length=99).lengths.max() <= 15
    assert model.generate(params, {"v": v}, length=2).lengths.max() <= 2


def test_a_drawn_symbol_ends_a_sequence_by_the_rule_of_the_spec() -> None:
    model = decoder(more=STOPS["symbol"])
    params = drawn(model, 2)
    written = model.generate(params, {"v": np.ones((1, 3))}, number=8, temperature=3.0)
    for row, length in enumerate(written.lengths):
        assert 4 not in written[row][:-1]
        assert length == 15 or written[row][-1] == 4


# Mistakes


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "needs a prompt for x"),
        ({"prompt": [7]}, "contains a symbol outside 0 to 6"),
        ({"prompt": [0.5]}, "symbols must be whole numbers"),
        ({"prompt": np.zeros((1, 0), int)}, "the prompt is empty"),
        ({"prompt": np.zeros((1, 2, 3), int)}, r"expected \[steps\] or \[rows, steps\]"),
        ({"prompt": [0], "length": 0}, "expected at least 1 step"),
        ({"prompt": [0], "temperature": -1}, "temperature -1"),
        ({"prompt": [0], "top_k": 0}, "top-k 0"),
        ({"prompt": [0], "top_p": 1.5}, "top-p 1.5"),
        ({"prompt": [0], "beam": 0}, "beam 0"),
        ({"prompt": [0], "beam": 2, "temperature": 1.0}, "a beam search does not draw"),
        ({"prompt": [0], "beam": 2, "number": 3}, "2 beams cannot give 3 sequences"),
        ({"prompt": [0], "feed": {"x": "z"}}, "has no z to feed back"),
        ({"prompt": [0], "feed": {"x": "h"}}, "h cannot be fed back as x"),
    ],
)
def test_mistakes_are_named(
    speech: unfold.Model, params: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnfoldError, match=message):
        speech.generate(params, **asked)


def test_a_spec_that_cannot_write_says_what_is_missing() -> None:
    model = unfold.load("tdnn")
    with pytest.raises(UnsupportedError, match=r"prev\[t\]: feedback\(teacher=y\[t-1\]"):
        model.generate(model.init())


@pytest.mark.parametrize("free", ["choice[t-2]", "argmax(V @ d[t-1])"])
def test_a_feedback_of_another_kind_is_refused_at_its_place(free: str) -> None:
    model = decoder(free)
    with pytest.raises(UnsupportedError, match=r"<string>:14:12: prev does not feed back"):
        model.generate(model.init(), {"v": np.ones((1, 3))})


def test_a_feed_beside_a_feedback_is_refused() -> None:
    model = decoder()
    with pytest.raises(UnsupportedError, match=r"<string>:14:12: prev is already a feedback"):
        model.generate(model.init(), {"v": np.ones((1, 3))}, feed={"y": "o"})


def test_missing_and_unequal_inputs_are_named() -> None:
    model = decoder()
    with pytest.raises(DataError, match="input v is missing"):
        model.generate(drawn(model))
    with pytest.raises(DataError, match="2 prompts for 3 inputs"):
        model.generate(drawn(model), {"v": np.ones((3, 3))}, prompt=[[1], [2]])
    with pytest.raises(DataError, match="3 dimensions"):
        model.generate(drawn(model), {"v": np.ones((3, 3, 3))})


def test_numbers_cannot_be_drawn_or_searched() -> None:
    model = unfold.load("pattern-output")
    with pytest.raises(UnsupportedError, match="no scores to draw from"):
        model.generate(model.init(), {"x": np.ones((1, 5, 6))}, temperature=1.0)
    with pytest.raises(UnsupportedError, match="nothing to search"):
        model.generate(model.init(), {"x": np.ones((1, 5, 6))}, beam=2)


def test_a_decoding_says_what_it_is() -> None:
    assert Decoding().warmth(0.0) == 0.0
    assert Decoding().warmth(0.4) == 0.4
    assert Decoding(top_k=3).warmth(0.0) == 1.0
    assert Decoding(temperature=0).warmth(0.4) == 0.0
