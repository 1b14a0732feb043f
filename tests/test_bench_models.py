"""The comparison of whole models: all peers compute the same, and what is printed has its form."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # the benchmarks are no part of the package

from benchmarks.models import run
from benchmarks.models.cases import CASES, CHUNKS, START, Model
from benchmarks.models.packing import both, joined, moved
from benchmarks.peers import compare
from benchmarks.peers.peer import Numbers

QUICK = ("self-attention", "ctc")

Extents = Mapping[str, int]
LAYER = {"features": 3, "hidden": 4, "classes": 6}
SMALL: Mapping[str, tuple[Extents, Extents]] = {  # axes and sizes, no two of a case equal
    "conv-1d": ({"t": 7, "k": 5}, {"channels": 3}),
    "conv-2d": ({}, {"channels": 2, "filters": 3, "side": 6}),
    "self-attention": ({"t": 5}, {"width": 4}),
    "looped-transformer": ({"t": 5, "r": 2, "k": 3}, {"vocab": 7, "width": 4}),
    "encoder-decoder": (
        {"s": 6, "t": 5},
        {"source": 7, "target": 8, "encoder": 4, "decoder": 3, "score": 2},
    ),
    "lstm-layer-norm": ({"t": 5}, LAYER),
    "bidirectional-lstm": ({"t": 5}, LAYER),
    "rnn-2d": ({"i": 4, "j": 5}, {"hidden": 3, "classes": 6}),
    "fast-weights": ({"t": 5}, LAYER),
    "fast-weights-sum": ({"t": 5}, LAYER),
    "ctc": ({"t": 7, "u": 3}, {"features": 2, "labels": 4}),
    "char-rnn-adam": ({"t": 3}, {"vocab": 6, "hidden": 5}),
}


def small(name: str) -> Model:
    """Return a case at a size that the reference computes at once."""
    axes, sizes = SMALL[name]
    return replace(CASES[name], batch=2, axes=axes, sizes=sizes)


def numbers(peer: str, case: Model) -> Numbers:
    """Return what a peer computes."""
    options = {"backend": "reference"} if peer == "unfold" else {}
    prepared = run.PEERS[peer].make(**options).prepare(case)
    return prepared.read(prepared.run())


def check(peer: str, name: str) -> None:
    """Compare a peer with the reference; float32 against float64."""
    right, found = numbers("unfold", small(name)), numbers(peer, small(name))
    assert set(found[1]) == set(right[1])
    worst, array = compare.difference(found, right)
    assert worst < 2e-5, f"{peer} {name}: {array} differs by {worst:.1e}"


# Compiling all of them takes half a minute: `make bench` tests the others before it times any.
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_jax_computes_what_unfold_computes(name: str) -> None:
    check("jax", name)


def test_both_ways_to_write_fast_weights_are_the_same() -> None:
    matrix, sums = (numbers("unfold", small(n)) for n in ("fast-weights", "fast-weights-sum"))
    assert compare.difference(sums, matrix)[0] < 1e-12


@pytest.mark.bench
@pytest.mark.parametrize("name", CASES)
def test_pytorch_computes_what_unfold_computes(name: str) -> None:
    check("torch", name)


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_a_spec_and_a_family(name: str) -> None:
    case = CASES[name]
    assert case.load().program.loss is not None
    family = import_module(f"benchmarks.models.jax_models.{case.family}")
    assert case.trained or name in family.MODELS


def test_a_training_step_begins_with_moments_and_goes_on_from_chunk_to_chunk() -> None:
    case = small("char-rnn-adam")
    arrays, settings = case.arrays(), case.settings()
    steps = CHUNKS * SMALL[case.name][0]["t"]
    assert {n: a.shape for n, a in arrays.inputs.items()} == dict.fromkeys(
        ("x", "target"), (2, steps)
    )
    assert START % CHUNKS == 0 and set(arrays.moments) == {"mean", "square"}
    loss, found = numbers("unfold", case)
    assert loss == pytest.approx(np.log(6), rel=0.1)  # of guessing
    for name, before in arrays.parameters.items():
        mean, square = found[f"mean {name}"], found[f"square {name}"]
        assert not np.allclose(mean, 0.9 * arrays.moments["mean"][name], rtol=1e-3)
        rate = settings.optimizer.rate / (1 - 0.9 ** (START + 1))
        root = np.sqrt(square / (1 - 0.999 ** (START + 1))) + 1e-8
        np.testing.assert_allclose(found[name], before - rate * mean / root, rtol=2e-4, atol=1e-6)


def test_packings_have_an_inverse() -> None:
    generator = np.random.default_rng(0)
    arrays = {n: generator.normal(size=(2, 3, 4)) for n in "ABC"} | {"v": np.ones(3)}
    packing = both(joined("AB", "A", "B"), moved((2, 0, 1), "AB", "C"))
    packed = packing.pack(arrays)
    assert {n: a.shape for n, a in packed.items()} == {"AB": (4, 2, 6), "C": (4, 2, 3), "v": (3,)}
    unpacked = packing.unpack(packed)
    assert set(unpacked) == set(arrays)
    assert all(np.array_equal(unpacked[n], a) for n, a in arrays.items())


def test_a_run_compares_and_prints(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "CASES", {n: small(n) for n in ("conv-2d", "self-attention")})
    words = ["--backend", "reference", "--peers", "unfold,jax", "--threads", "1", "--gemm", "64"]
    assert run.main([*words, "--rounds", "2", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    rows = found["results"]
    assert [(r["name"], r["peer"]) for r in rows] == [
        (n, p) for n in ("conv-2d", "self-attention") for p in ("unfold", "jax")
    ]
    assert all(r["difference"] < 1e-5 and 0 < r["minimum"] <= r["median"] for r in rows)
    assert set(found["versions"]) == {"unfold", "numpy", "jax", "jaxlib"}
    table = run.times_of(found)
    assert table.headings == ["case", "unfold", "jax", "best peer / unfold (1.2)"]
    assert [row[0] for row in table.rows] == ["conv-2d", "self-attention"]
    assert table.rows[0][3] == f"jax {rows[1]['minimum'] / rows[0]['minimum']:.2f}"


def test_mistakes_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--cases", "resnet"], ["--peers", "theano"]):
        with pytest.raises(SystemExit):
            run.read_arguments(words)
        assert "expected some of" in capsys.readouterr().err
