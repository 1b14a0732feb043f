"""Every spec of the library: drawn, equal on every backend, equal to its oracle, run.

One test for each of the parts that docs/systems.md has a column for (`make systems` keeps what came
of them). Batches of three sequences of unequal
lengths, garbage in the padding, in every mode.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cases import CASES, EVERY_NAME
from differential.interpreted import interpret
from geometry import hidden_words, overlaps, run_through
from machine import COMPILED, Recorded, interpreted, used
from sample import Sample, sample
from test_numba_specs import agree
from test_specs_oracle import check_gradients, check_values

import unfold
from unfold.cli import invoke

LIBRARY = {path.stem: path for path in unfold.library()}
# Two different pairs of lengths: JAX compiles for each. The sweeps of `make library` have more.
LENGTHS = {"first": [5, 1, 5], "others": [4, 8, 4]}
# Of each way to feed and to train a network, one that `unfold run` is tested with every time.
RUN = ("attention", "ctc", "digits-2d-rnn", "gru", "hello", "lstm-stack", "number-words", "latch")
every_spec = pytest.mark.parametrize("spec", LIBRARY)


def small(spec: str, seed: int) -> Sample:
    """Return a sample of a spec with few different lengths."""
    case = CASES[spec]
    lengths = {axis: LENGTHS["others" if n else "first"] for n, axis in enumerate(case.varying)}
    for axis, own in case.lengths.items():
        lengths[axis] = [own[5][0], own[5][1], own[5][0]]
    return sample(case, steps=5, seed=seed, lengths=lengths)


@every_spec
def test_checked(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no mistakes, and says what it is."""
    assert invoke(["check", str(LIBRARY[spec])]) == 0, capsys.readouterr().out
    assert len(unfold.load(spec).about) > 40


@pytest.mark.parametrize("spec", EVERY_NAME)
def test_drawn(spec: str) -> None:
    """Its pictures are legible."""
    model = unfold.load(spec)
    for view in ("folded", "unfolded"):
        picture = model.draw(view).picture
        assert list(overlaps(picture)) == []
        assert list(run_through(picture)) == []
        assert list(hidden_words(picture)) == []


@every_spec
def test_backends(spec: str, request: pytest.FixtureRequest) -> None:
    """The compiled backend gives what the reference gives: every node, the loss, all gradients."""
    drawn = small(spec, seed=1)
    engine = interpreted(drawn, spec, request.config)
    for mode in CASES[spec].modes:
        agree(drawn, mode, drawn.lengths, "float64")
    new = used(engine.machine.known if engine else []) - compiled()
    assert not new, f"add {spec}, or another spec that uses {new}, to COMPILED"


@cache
def compiled() -> set[str]:
    """Return the features of all specs that are compiled."""
    found: set[str] = set()
    for spec in COMPILED:
        drawn = small(spec, seed=1)
        model, engine = drawn.model, interpret(drawn.model, machine=Recorded())
        for mode in CASES[spec].modes:
            how: dict[str, Any] = {"backend": "numba", "mode": mode, "lengths": drawn.lengths}
            model.forward(drawn.params, drawn.inputs, **how)
            model.step(drawn.params, drawn.inputs, wrt=drawn.names, **how)
        found |= used(engine.machine.known)
    return found


@every_spec
def test_oracle(spec: str) -> None:
    """The reference gives what JAX gives from the equations: nodes, loss, gradients."""
    drawn = small(spec, seed=0)
    for mode in CASES[spec].modes:
        check_values(drawn, mode)
        check_gradients(drawn, mode)


@pytest.mark.parametrize(
    "spec", [s if s in RUN else pytest.param(s, marks=pytest.mark.slow) for s in LIBRARY]
)
def test_runs(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`unfold run` ends well on it, here after a step; `make library` runs it as it is.

    That the data of the others fit them is tested in `test_data_fit`.
    """
    monkeypatch.chdir(tmp_path)
    model = unfold.load(spec)
    short = ["train.steps=1", "generate.length=8"] if model.spec.train is not None else []
    extents = {n: a.extent for n, a in model.program.axes.items()}
    short += [f"axis.{n}=150" for n, e in extents.items() if e.is_constant and e.constant > 256]
    short = [word for setting in short for word in ("--set", setting)]
    assert invoke(["run", spec, "--backend", "reference", *short]) == 0


def test_names_are_unique() -> None:
    assert len(LIBRARY) == len(unfold.library())
