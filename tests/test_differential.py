"""Random specs on the compiled backend and on the reference; `tests/differential` has 20,000 more.

UNFOLD_DIFFERENTIAL=1000 pytest tests/test_differential.py       so many cases, in blocks of ten

Compiling a random program takes seconds, so most of them have their blocks interpreted: the same
plan and the same generated text, on the same memory. A few go through the compiler.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import unfold
from tests.differential import engines
from tests.differential.case import Piece, Run, Sample
from tests.differential.compare import check, compute, draw
from tests.differential.differences import differences
from tests.differential.generate import generate
from tests.differential.shrink import shrink
from unfold.errors import SpecError

FOUND = Path(__file__).parent / "differential" / "found"
SEED = 1
BLOCK = 10
COUNT = int(os.environ.get("UNFOLD_DIFFERENTIAL", "10"))
COMPILED = (0, 1, 5)  # small ones: a large one takes a minute to compile
SMALL = """unfold: 1
name: small
axes: {t: 4}
inputs: {x[t]: [3]}
parameters: {W: [2, 3], V: [2, 2]}
nodes:
  h[t]: tanh(W @ x[t] + V @ h[t-1])
loss: mean[t](h[t] @ h[t])
"""


@pytest.mark.parametrize("block", range((COUNT + BLOCK - 1) // BLOCK))
def test_random_specs_agree(block: int) -> None:
    kinds: Counter[str] = Counter()
    for number in range(BLOCK * block, min(COUNT, BLOCK * (block + 1))):
        engine = ("interpreted", "parallel")[number % 2]
        outcome = check(generate(SEED, number).sample, engine)
        kinds[outcome.kind] += 1
        again = f"python -m tests.differential --seed {SEED} --shrink-case {number}"
        again += f" --backend {engine}"
        assert not outcome.failed, f"{again}\n{outcome.kind}: {outcome.message}"
    assert kinds["agrees"] >= sum(kinds.values()) - 3, kinds


@pytest.mark.parametrize("number", COMPILED)
def test_random_specs_agree_compiled(number: int) -> None:
    outcome = check(generate(SEED + 1, number).sample, "numba")
    assert not outcome.failed, f"{outcome.kind}: {outcome.message}"


def test_gradients_of_random_specs_are_central_differences() -> None:
    for number in range(5):
        outcome = differences(generate(SEED, number).sample)
        assert not outcome.failed, f"case {number}: {outcome.message}"


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.yaml")), ids=lambda p: p.stem)
def test_what_random_specs_have_found_agrees(path: Path) -> None:
    outcome = check(Sample.read(path.read_text()), "interpreted")
    assert outcome.kind == "agrees", outcome.message


# The generator


def test_a_case_is_the_same_every_time() -> None:
    first, again = ([generate(5, n).sample.file() for n in range(8)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 8


def test_specs_are_legal_and_use_the_whole_language() -> None:
    seen: set[str] = set()
    legal = 0
    for number in range(200):
        case = generate(3, number)
        seen |= set(case.features())
        if number % 8:
            continue
        try:
            unfold.loads(case.text)
            legal += 1
        except SpecError:
            pass
    assert legal >= 24
    wanted = {
        "window",
        "grid",
        "micro-steps",
        "second order",
        "softmax over an axis",
        "einsum of three",
    }
    wanted |= {
        "argmax in a cycle",
        "feedback of a category",
        "mean over the batch",
        "chunks",
        "concat",
    }
    wanted |= {
        "group that runs backwards",
        "initial: learned",
        "cell lstm",
        "cell: reverse",
        "slice",
        "edge of where",
        "conv1d",
        "conv2d",
        "windows",
        "ctc",
    }
    assert wanted <= seen, wanted - seen


def test_a_file_holds_the_whole_sample() -> None:
    sample = generate(0, 7).sample
    assert Sample.read(sample.file("a note")).run == sample.run
    assert yaml.safe_load(sample.file("a note")) == yaml.safe_load(sample.text)


def test_padding_is_garbage() -> None:
    model = unfold.loads(SMALL)
    run = Run(batch=2, extents={"t": 4}, lengths={"t": [4, 1]}, garbage=True)
    _, inputs, lengths = draw(model, run)
    assert lengths == {"t": [4, 1]}
    np.testing.assert_array_equal(
        np.isnan(inputs["x"][:, :, 0]), [[False] * 4, [False] + [True] * 3]
    )


# The comparison


class Wrong(engines.Backend):
    """The reference with one gradient that is a little wrong."""

    error = 1e-8

    def step(self, params: Any, inputs: Any, **options: Any) -> Any:
        """Return a Step with a wrong number."""
        found = super().step(params, inputs, **options)
        found.grads["V"][0, 1] += self.error
        return found


class Dirty(engines.Backend):
    """The reference with a number in the padding."""

    def forward(self, params: Any, inputs: Any, **options: Any) -> Any:
        """Return a Run with a wrong number."""
        found = super().forward(params, inputs, **options)
        found["h"][1, 2, 0] = 1e-30
        return found


def small(**options: Any) -> Sample:
    return Sample(SMALL, Run(batch=2, extents={"t": 4}, **options))


def use(monkeypatch: pytest.MonkeyPatch, kind: type[engines.Backend]) -> None:
    """Let the name "wrong" stand for an engine."""
    honest = engines.engine

    def made(model: unfold.Model, name: str, dtype: str) -> engines.Engine:
        if name == "wrong":
            return kind(model, dtype, "reference")
        return honest(model, name, dtype)

    monkeypatch.setattr("tests.differential.compare.engine", made)


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Wrong)
    outcome = check(small(), "wrong", ("gradients",))
    assert outcome.kind == "disagrees"
    assert outcome.message.startswith("float64: gradient of V: at [0, 1]")
    monkeypatch.setattr(Wrong, "error", 1e-12)
    assert check(small(), "wrong", ("gradients",)).kind == "agrees"


def test_a_number_in_the_padding_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Dirty)
    outcome = check(small(lengths={"t": [4, 2]}), "wrong", ("values",))
    assert outcome.kind == "disagrees"
    assert "padding is not zero, at [1, 2, 0]" in outcome.message


def test_another_rounding_agrees_in_both_precisions() -> None:
    assert check(small(), "noisy").checked == ("float64", "float32")


def test_large_numbers_are_rounded_too() -> None:
    """The gradient of the sine of 1e20 says nothing about an engine."""
    text = SMALL.replace("tanh(W @ x[t] + V @ h[t-1])", "sin(exp(45 + 0 * (W @ x[t])))")
    assert check(replace(small(), text=text), "noisy").message == "float64: h: rounding decides"


def test_a_tie_is_a_close_decision() -> None:
    text = SMALL.replace("tanh(W @ x[t] + V @ h[t-1])", "tanh(W @ x[0])").replace("mean", "max")
    model = unfold.loads(text)
    watch = engines.Watch(1e-9)
    with engines.walking(model, watch.walk):
        compute(model, small().run, engines.Backend(model, "float64", "reference"), gradients=True)
    assert watch.found


def test_central_differences_see_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    from unfold.core.op import OPS

    wrong = replace(OPS["tanh"], vjp=lambda g, y, xs, v: (g * (1.0 - y),))
    monkeypatch.setitem(OPS, "tanh", wrong)
    assert differences(small()).kind == "disagrees"


def test_a_failure_is_made_small() -> None:
    """What fails here is any spec with a sigmoid."""
    case = next(c for c in (generate(2, n) for n in range(50)) if "sigmoid" in c.text)
    found = shrink(case, lambda sample: "sigmoid" in sample.text, seconds=inf)
    assert "sigmoid" in found.text
    assert len(found.text) < 250, found.text
    assert found.run.batch == 1


def test_pieces_get_smaller() -> None:
    piece = Piece("tanh({0} + {1})", (Piece("h[t-3]"), Piece("1")))
    texts = [p.text for p in piece.smaller()]
    assert texts == ["h[t-3]", "1", "tanh(0.5 + 1)", "tanh(h[t-1] + 1)"]
