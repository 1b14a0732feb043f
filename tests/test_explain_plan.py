"""`unfold explain --plan` and `unfold run --profile`: what Plans cost, in words and in time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cases import EVERY_NAME

import unfold
from unfold.backends.numba.backend import Numba
from unfold.cli import invoke
from unfold.explain.describe import Description, describe
from unfold.passes.lowering import lower, to_backend
from unfold.planning.plan import plan
from unfold.runs.domain import Domain
from unfold.terminal.plan_text import amount, fate_lines, plan_lines, unit
from unfold.terminal.profile import FILE, Measured, Watch

pytestmark = pytest.mark.usefixtures("compiled")
ELMAN = """
unfold: 1
name: elman
axes: {t: 6}
sizes: {n: 3, m: 5}
inputs:
  x[t]: [n]
parameters:
  W: [m, m]
  U: [m, n]
  b: [m]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t] + b)
outputs: [h]
"""
RANDOM = """
unfold: 1
name: noisy
axes: {t: 4}
sizes: {n: 3}
inputs:
  x[t]: [n]
  y[t]: [n]
parameters:
  W: [n, n]
nodes:
  h[t]: tanh(W @ h[t-1] + dropout(x[t], rate=0.5))
loss: mean[t](mse(h[t], y[t]))
"""
TINY = """
unfold: 1
name: tiny
axes: {t: 3}
sizes: {n: 2}
inputs:
  x[t]: [n]
parameters:
  W: [n, n]
nodes:
  h[t]: W @ h[t-1] + x[t]
loss: sum[t](h[t] @ h[t])
data: {random: true, batch: 4}
train: {steps: 5, optimizer: {sgd: {rate: 0.01}}}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


def show(found: Description, width: int = 100) -> str:
    return "\n".join(map(str, plan_lines(found, "", width)))


def fate(found: Description, name: str) -> str:
    (own,) = (f for f in found.fates if f.name == name)
    return "; ".join(own.became)


def test_costs_are_those_of_the_formulas() -> None:
    batch, steps, n, m, item = 4, 6, 3, 5, 4
    found = unfold.loads(ELMAN).plan(gradients=False, batch=batch)
    loop = next(r for r in found.rows if r.kind == "loop")
    hoisted, inside = (r for r in found.rows if r.kind == "product")
    kernel = next(r for r in found.rows if r.kind == "kernel" and r.depth == 1)
    points = batch * steps
    assert hoisted.sizes == (points, m, n, 1)
    assert hoisted.flops == 2 * points * m * n
    assert hoisted.bytes == item * (points * n + m * n + points * m)
    assert inside.sizes == (batch, m, m, 1)
    assert inside.flops == steps * 2 * batch * m * m
    assert inside.bytes == steps * item * (batch * m + m * m + batch * m)
    assert kernel.flops == points * m * 3, "two additions and a tanh"
    assert kernel.bytes == steps * item * (3 * batch * m + m), "two products, b; h"
    assert loop.flops == inside.flops + kernel.flops
    top = [r for r in found.rows if r.depth == 0]
    assert found.flops == sum(r.flops for r in top)
    assert found.bytes == sum(r.bytes for r in top)


def test_costs_grow_with_the_extents() -> None:
    model = unfold.loads(ELMAN)
    once = model.plan(gradients=False, batch=4)
    twice = model.plan(gradients=False, batch=4, t=12)
    products = [sum(r.flops for r in p.rows if r.kind == "product") for p in (once, twice)]
    assert products[1] == 2 * products[0]


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_spec_has_a_plan_that_fits_a_terminal(name: str) -> None:
    model = unfold.load(name)
    for gradients in (True, False):
        found = model.plan(gradients=gradients and model.program.loss is not None, batch=3)
        for width in (80, 100):
            assert max(map(len, show(found, width).split("\n"))) <= width
        names = {f.name for f in found.fates}
        assert "loss" in names
        assert gradients or set(model.pipeline.nodes) <= names


def test_a_plan_says_what_is_random_what_is_counted_and_what_is_written_out_again() -> None:
    found = unfold.loads(RANDOM).plan(batch=2)
    assert "drawn by NumPy before the run" in fate(found, "h")
    assert "divided by counts that NumPy makes before the run" in fate(found, "loss")
    found = unfold.load("char-rnn").plan(batch=2)
    assert fate(found, "y") == (
        "W_hy @ h[t]: a product, all t at once; written out in 3 kernels, not stored"
    )
    assert "hoisted out of the loop over t" in fate(found, "∂h")
    assert fate(found, "W_xh") == "transposed; rows gathered by x[t]"


def test_a_plan_says_why_something_is_no_gemm() -> None:
    found = unfold.load("attention").plan(batch=2)
    slow = {r.text: d for r in found.rows for d in r.details if d.startswith("vector loops")}
    assert slow["e"].endswith("the result is a single number at each point")
    assert "a sum of multiples of vectors" in slow["adds to c"]
    assert "vector loops, not a GEMM" in fate(found, "c")
    assert not any("d" in r.equations for r in found.rows if r.text in slow)


def test_lengths_that_differ_are_described_too() -> None:
    model = unfold.load("pattern-last")
    found = plan(lower(model.pipeline.resolved(), to_backend(("t",))), Numba.target, ("t",))
    extents = Domain(found.program, batch=2).extents
    assert "last" in str(found.buffers)
    assert "W @ " in show(describe(found, extents))


def test_the_command_prints_the_plan_or_writes_it_as_json(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["explain", str(spec), "--plan"]) == 0
    told = capsys.readouterr().out
    assert "for t, forwards, 3 steps" in told
    assert "for t, backwards, 3 steps" in told
    assert "batch=4, t=3" in told, "the batch of the spec's data"
    assert invoke(["explain", str(spec), "--plan", "--forward", "--batch", "7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    plan = document["plan"]
    assert not document["gradients"]
    assert plan["extents"]["batch"] == 7
    assert [r["kind"] for r in plan["rows"]].count("loop") == 1
    assert {f["name"] for f in plan["fates"]} >= {"W", "x", "h", "loss"}


def test_the_plan_follows_what_is_set(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", str(spec), "--plan", "--json", "--set"]
    assert invoke([*command, "axis.t=50"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["extents"]["t"] == 50
    assert invoke([*command, "data.batch=9"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["extents"]["batch"] == 9


def test_explain_plan_of_a_huge_batch(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is allocated for each sequence of a batch, and data have a limit for it."""
    model = unfold.load(spec)
    found = model.plan(batch=2**45, gradients=True)  # 256 TiB for one number of 8 bytes each
    assert found.extents["batch"] == 2**45
    for batch in (2**40, 2**64):
        change = f"data={{random: true, batch: {batch}}}"
        for command in (["check"], ["explain", "--plan"]):
            assert invoke([*command, str(spec), "--set", f"data.batch={batch}"]) == 1, change
            printed = capsys.readouterr()
            assert f"in a batch of {batch:,}, " in printed.out + printed.err


def test_the_reference_makes_no_plan(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNFOLD_BACKEND", "reference")
    assert invoke(["explain", str(spec), "--plan"]) == 1
    assert capsys.readouterr().err == (
        "reference runs a spec without a plan\n"
        "  help: set another backend, such as  UNFOLD_BACKEND=numba\n"
    )


def test_options_of_the_plan_need_it(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["explain", str(spec), "--batch", "3"]) == 1
    assert capsys.readouterr().err == (
        "--forward and --batch apply only to the plan\n  help: add  --plan\n"
    )


def test_amounts_are_short() -> None:
    assert amount(16_480_000, "flop") == "16.5 Mflop"
    assert amount(12, "B") == "12 B"
    assert unit(3e9) == (1e9, "G")


def test_equations_with_one_fate_stand_together() -> None:
    found = unfold.load("lstm-peephole").plan()
    told = "\n".join(map(str, fate_lines(found.fates, 100)))
    assert told.count("[W_xi W_xf W_xc W_xo] @ x[t]: one product for i, f, c, o") == 2
    assert "i, f, o" in told


def test_a_watch_counts_phases_and_steps() -> None:
    class Engine:
        size = 3

        def step(self, x: int) -> int:
            return x + 1

    watch = Watch(True)
    engine = Measured(Engine(), watch, "model")
    assert (engine.step(2), engine.step(5), engine.size) == (3, 6, 3)
    with watch.phase("saving"):
        pass
    assert watch.steps == 2
    assert set(watch.seconds) == {"model", "saving"}


def test_a_clock_changes_nothing_and_accounts_for_every_block() -> None:
    model = unfold.loads(TINY)
    params = model.init(seed=1, dtype="float32")
    inputs = {"x": np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")}
    expected = model.step(params, inputs, backend="numba")
    with model.backend("numba").clocked() as clock:
        for _ in range(3):
            found = model.step(params, inputs, backend="numba")
    assert found.loss == expected.loss
    np.testing.assert_array_equal(found.grads["W"], expected.grads["W"])
    (profile,) = clock.profiles()
    assert profile.runs == 2
    assert profile.first > 0
    assert profile.threads == min(4, len(os.sched_getaffinity(0)))
    assert len(profile.blocks) == len(profile.plan.statements)
    assert 0 < sum(profile.blocks) <= profile.total
    model.step(params, inputs, backend="numba")
    assert profile.runs == 2, "afterwards nothing is measured"


def test_a_run_shows_its_profile(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(spec), "--profile", "--backend", "numba", "--dtype", "float32"]) == 0
    told = capsys.readouterr().out
    assert "where the time went" in told
    assert "product  ∂W: sum[t](∂h[t] ⊗ h[t-1])" in told
    document = json.loads((Path("runs") / "tiny-1" / FILE).read_text(encoding="utf-8"))
    assert document["steps"] == 5
    assert sum(document["seconds"].values()) == pytest.approx(document["total"])
    (plan,) = document["plans"]
    assert plan["runs"] == 4
    assert all(row["seconds"] >= 0 for row in plan["rows"])


def test_the_reference_has_phases_and_no_blocks(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(spec), "--profile", "--backend", "reference", "--json"]
    assert invoke(command) == 0
    profile = json.loads(capsys.readouterr().out)["profile"]
    assert profile["plans"] == []
    assert profile["seconds"]["model"] > 0
