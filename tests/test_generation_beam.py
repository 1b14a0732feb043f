"""Beam search: one beam is greedy, all beams are an exhaustive search, which is written here.

The probability of a sequence is computed by running the spec over it with the teacher, whole, in
the reference's float64; the search takes steps and keeps states.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from test_generation import DECODER, LANGUAGE, STOPS, drawn

import unfold
from tests.differential.interpreted import interpret

STEPS, SYMBOLS = 4, 3


def tiny(text: str) -> unfold.Model:
    """Return a model of three symbols."""
    return unfold.loads(
        text.replace("vocab: 7", f"vocab: {SYMBOLS}").replace("FREE", "choice[t-1]")
    )


def log_softmax(scores: Any) -> Any:
    """Return log-probabilities."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def every_sequence(end: int | None) -> list[tuple[int, ...]]:
    """Return all sequences that end with the symbol, or after the last step."""
    whole = product(range(SYMBOLS), repeat=STEPS)
    cut = (s[: s.index(end) + 1] if end is not None and end in s else s for s in whole)
    return sorted(set(cut))


def exhaustive(
    model: unfold.Model,
    params: dict[str, Any],
    inputs: dict[str, Any],
    prompt: list[int],
    end: int | None,
    penalty: float,
) -> list[tuple[float, float, tuple[int, ...]]]:
    """Return all sequences with their value and log-probability, the best one first."""
    found: list[tuple[float, float, tuple[int, ...]]] = []
    for sequence in every_sequence(end):
        whole = [*prompt, *sequence]
        if "x" in [v.name for v in model.program.inputs]:
            scores = model.forward(params, {"x": np.array([whole[:-1]])})["y"][0]
            first = len(prompt) - 1
        else:
            scores = model.forward(params, {"y": np.array([whole]), **inputs})["o"][0]
            first = len(prompt)
        of = log_softmax(scores)[first:]
        total = float(sum(of[i, s] for i, s in enumerate(sequence)))
        found.append((total / len(sequence) ** penalty, total, sequence))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.8, 2.0])
@pytest.mark.parametrize("end", [None, 1])
@pytest.mark.parametrize("seed", [0, 1])
def test_full_width_is_an_exhaustive_search(seed: int, end: int | None, penalty: float) -> None:
    model = tiny(LANGUAGE)
    params = drawn(model, seed)
    width = SYMBOLS**STEPS
    written = model.generate(
        params, prompt=[2, 0], length=STEPS, end=end, beam=width, number=5, length_penalty=penalty
    )
    best = exhaustive(model, params, {}, [2, 0], end, penalty)[:5]
    assert [tuple(written[row].tolist()) for row in range(5)] == [s for _, _, s in best]
    assert written.log_probability is not None
    np.testing.assert_allclose(written.log_probability, [p for _, p, _ in best], rtol=1e-12)


def test_a_narrow_beam_misses_what_a_wide_one_finds() -> None:
    model = tiny(LANGUAGE)
    missed = 0
    for seed in range(12):
        params = drawn(model, seed)
        asked: dict[str, Any] = {"prompt": [2], "length": STEPS}
        values: list[float] = []
        for width in (1, 2, SYMBOLS**STEPS):
            found = model.generate(params, beam=width, **asked).log_probability
            assert found is not None
            values.append(float(found[0]))
        assert values[0] <= values[2] + 1e-12
        assert values[1] <= values[2] + 1e-12
        missed += values[0] < values[2] - 1e-9
    assert missed


@pytest.mark.parametrize("engine", ["reference", "interpreted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("end", [None, 4])
def test_one_beam_is_greedy(engine: str, dtype: str, end: int | None) -> None:
    model = unfold.loads(LANGUAGE)
    if engine == "interpreted":
        interpret(model)
    for seed in range(3):
        params = drawn(model, seed, dtype)
        asked: dict[str, Any] = {
            "prompt": [[seed, 1], [3, 2]],
            "length": 9,
            "end": end,
            "backend": "reference" if engine == "reference" else "numba",
        }
        one, greedy = model.generate(params, beam=1, **asked), model.generate(params, **asked)
        np.testing.assert_array_equal(one.lengths, greedy.lengths)
        np.testing.assert_array_equal(one.values, greedy.values)


@pytest.mark.parametrize("stop", STOPS)
def test_one_beam_stops_where_greedy_does(stop: str) -> None:
    model = unfold.loads(DECODER.replace("FREE", "choice[t-1]") + STOPS[stop])
    params, v = drawn(model, 2), np.random.default_rng(6).normal(size=(5, 3))
    one, greedy = model.generate(params, {"v": v}, beam=1), model.generate(params, {"v": v})
    assert len(set(greedy.lengths.tolist())) > 1
    np.testing.assert_array_equal(one.lengths, greedy.lengths)
    np.testing.assert_array_equal(one.values, greedy.values)


def test_beams_of_every_context_are_its_own() -> None:
    model = tiny(DECODER)
    params, v = drawn(model, 3), np.random.default_rng(7).normal(size=(3, 3))
    asked: dict[str, Any] = {"length": STEPS, "end": 0, "beam": SYMBOLS**STEPS, "number": 2}
    together = model.generate(params, {"v": v}, **asked)
    assert len(together) == 6
    for row in range(3):
        best = exhaustive(model, params, {"v": v[row : row + 1]}, [], 0, 0.0)[:2]
        found = [tuple(together[2 * row + i].tolist()) for i in range(2)]
        assert found == [s for _, _, s in best]


def test_the_encoder_is_read_by_every_beam() -> None:
    model = unfold.load("attention")
    params = drawn(model, 1)
    x = np.random.default_rng(2).integers(0, 8, (2, 9))
    one, greedy = (model.generate(params, {"x": x}, **o) for o in ({"beam": 1}, {}))
    np.testing.assert_array_equal(one.values, greedy.values)
    four = model.generate(params, {"x": x}, beam=4)
    assert four.log_probability is not None
    assert one.log_probability is not None
    whole = model.forward(params, {"x": x, "y": four.values})
    total = np.take_along_axis(log_softmax(whole["o"]), four.values[:, :, None], axis=2).sum((1, 2))
    np.testing.assert_allclose(four.log_probability, total, rtol=1e-12)


def test_scores_that_differ_by_less_than_a_probability_shows_are_told_apart() -> None:
    model = unfold.loads(LANGUAGE)
    params = {n: np.zeros_like(a) for n, a in model.init().items()}
    params["b"][4] = 1e-20
    one = model.generate(params, prompt=[0], length=3, beam=1)
    assert one[0].tolist() == model.generate(params, prompt=[0], length=3)[0].tolist() == [4, 4, 4]
