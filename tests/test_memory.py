"""Runs that would not fit: the estimate, the refusal, the setting that makes one fit."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import unfold
from tests.differential.interpreted import interpret
from unfold.cli import app
from unfold.core.bytes import available, show_size
from unfold.errors import MemoryLimitError, SpecError
from unfold.execution.memory import Memory
from unfold.runs.domain import Domain
from unfold.training.data import random_inputs
from unfold.unfolded.needs import needs

BATCH, T = 2, 400
BOTH_WAYS = """unfold: 1
name: both-ways
axes: {t: 1500}
inputs: {x[t]: [8]}
parameters: {W: [8, 8]}
nodes:
  h[t]: tanh(W @ h[t-1] + x[t])
  g[t]: tanh(W @ g[t+1] + h[t])
loss: mean[t](g[t] @ g[t])
"""


def engine_of(model: unfold.Model) -> Any:
    return model._execution.backends["numba"].engine  # type: ignore[attr-defined]


def lstm(memory: Memory | None = None) -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    model = unfold.load("lstm-peephole", axes={"t": T}, sizes={"hidden": 16})
    model.memory = memory or Memory()
    interpret(model)
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {}
    for value in model.program.inputs:
        shape = (BATCH, T, *map(int, value.type.stored))
        category = value.type.kind == "category"
        inputs[value.name] = rng.integers(0, 2, shape) if category else rng.standard_normal(shape)
    return model, model.init(), inputs


def test_a_sequence_needs_no_memory_for_parameters() -> None:
    """A matrix is read by all sequences: 32 more need state, about 20 numbers a unit and step."""
    hidden, more = 256, 32
    model = unfold.load("lstm", axes={"t": 2}, sizes={"hidden": hidden})
    options: dict[str, Any] = {"dtype": "float32", "backend": "numba"}
    few, many = (model.needs(batch=b, **options)[0] for b in (4, 4 + more))
    assert many - few < more * 2 * 20 * 4 * hidden


def test_the_estimate_is_what_a_run_takes() -> None:
    model, params, inputs = lstm()
    needed, how = model.needs(batch=BATCH, backend="numba")
    assert how == "one run"
    model.step(params, inputs, backend="numba")
    assert engine_of(model).held == needed


def test_what_would_not_fit_is_refused_with_the_setting_that_would() -> None:
    whole, _ = lstm()[0].needs(batch=BATCH, backend="numba")
    model, params, inputs = lstm(Memory(budget=whole // 2))
    words = r"needs .* but may use only .*checkpoint: \d+\}"
    with pytest.raises(MemoryLimitError, match=words) as told:
        model.step(params, inputs, backend="numba")
    assert not engine_of(model)._bound
    length = int(str(told.value).split("checkpoint: ")[1].split("}")[0])
    model.memory = Memory(length, whole // 2)
    assert model.needs(batch=BATCH, backend="numba")[0] <= whole // 2
    step = model.step(params, inputs, backend="numba")
    model.memory = Memory()
    assert step.loss == pytest.approx(model.step(params, inputs, backend="reference").loss)


def test_auto_cuts_only_what_would_not_fit() -> None:
    whole, _ = lstm()[0].needs(batch=BATCH, backend="numba")
    model, params, inputs = lstm(Memory("auto", 2 * whole))
    step = model.step(params, inputs, backend="numba")
    assert engine_of(model).held == whole
    model, params, inputs = lstm(Memory("auto", whole // 2))
    needed, how = model.needs(batch=BATCH, backend="numba")
    assert "segments of" in how and needed <= whole // 2
    again = model.step(params, inputs, backend="numba")
    assert engine_of(model).held <= whole // 2
    assert again.loss == pytest.approx(step.loss, rel=1e-12)
    for name, gradient in step.grads.items():
        np.testing.assert_allclose(again.grads[name], gradient, rtol=1e-9, atol=1e-12)


def test_inputs_may_be_lists() -> None:
    model = unfold.load("hello")
    params = model.init()
    inputs = {"x": [[0, 1, 2, 2]], "target": [[1, 2, 2, 3]]}
    expected = model.step(params, inputs, backend="reference")
    for checkpoint in (None, "auto"):
        interpret(model)
        found = model.step(params, inputs, backend="numba", checkpoint=checkpoint)
        assert found.loss == pytest.approx(expected.loss, rel=1e-12)


def test_what_fits_in_no_way_says_so() -> None:
    model, params, inputs = lstm(Memory("auto", 1000))
    with pytest.raises(MemoryLimitError, match="smaller batch"):
        model.step(params, inputs, backend="numba")
    model = unfold.loads(BOTH_WAYS)
    model.memory = Memory("auto", 1000)
    interpret(model)
    inputs = {"x": np.zeros((BATCH, T, 8))}
    with pytest.raises(MemoryLimitError, match=r"g reads g at t\+1"):
        model.step(model.init(), inputs, backend="numba")


def test_arenas_of_other_runs_make_room() -> None:
    whole, _ = lstm()[0].needs(batch=BATCH, backend="numba")
    model, params, inputs = lstm(Memory(budget=whole))
    model.step(params, inputs, backend="numba")
    shorter = {n: a[:, : T // 2] for n, a in inputs.items()}
    model.step(params, shorter, backend="numba")
    assert len(engine_of(model)._bound) == 1
    assert engine_of(model).held < whole


def test_the_section_memory_is_read_and_checked() -> None:
    text = BOTH_WAYS + "memory: {checkpoint: {t: 100}, budget: 1.5 GiB}\n"
    assert unfold.loads(text).memory == Memory({"t": 100}, 3 << 29)
    with pytest.raises(SpecError) as told:
        unfold.loads(BOTH_WAYS + "memory: {checkpoint: 0, budget: lots, segment: 3}\n")
    mistakes = "\n".join(str(d) for d in told.value.diagnostics)
    for words in ("checkpoint", "a size such as 500 MB", "segment"):
        assert words in mistakes


@pytest.mark.parametrize("size", ["1e400 GiB", "1e300 GiB", "nan GiB", "-inf B", "2 GB GB"])
def test_memory_budget_infinite(size: str) -> None:
    with pytest.raises(SpecError, match=f'expected a size such as 500 MB or 2 GiB, got "{size}"'):
        unfold.loads(BOTH_WAYS + f"memory: {{budget: {size}}}\n")


def test_sizes_are_written_as_people_do() -> None:
    sizes = [show_size(n) for n in (12, 1536, 5 << 20, 3 << 29)]
    assert sizes == ["12 B", "1.5 KiB", "5 MiB", "1.5 GiB"]
    assert 0 < available() < 1 << 50


def test_a_run_shows_its_estimate_and_takes_the_setting(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unfold", "run", "lstm-peephole", "--json"]
    command += ["--runs", str(tmp_path), "--backend", "numba", "--set", "train.steps=2"]
    done = subprocess.run([*command, "--set", "memory.budget=1 kB"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "may use" in json.loads(done.stdout)["errors"][0]["message"]


# Memory follows extents, not the numbers of an index


FAR_TEXT = """unfold: 1
name: far
axes: {{t: 8}}
sizes: {{n: 2}}
inputs: {{x[t]: [n]}}
parameters: {{W: [n, n]}}
nodes:
  h[t]: {node}
loss: mean[t](h[t] @ h[t])
{initial}"""


def far(node: str, initial: str = "") -> unfold.Model:
    return unfold.loads(FAR_TEXT.format(node=node, initial=initial))


FAR = {
    "delay": ("tanh(W @ h[t-100000000] + x[t])", ""),
    "longest delay": ("tanh(W @ h[t-1000000000] + h[t-1] * x[t])", "initial: {h: 0.5}\n"),
    "backwards": ("tanh(W @ h[t+100000000] + x[t])", ""),
    "stride": ("tanh(W @ x[1000000000*t] + 0.5 * h[t-1])", ""),
    "stride from afar": ("tanh(W @ x[1000000000*t-999999997] + x[t])", ""),
    "from the end": ("tanh(W @ x[last-1000000000*t] + h[t-1])", ""),
    "product": ("tanh(sum[t](x[t+70] * x[t]) + W @ h[t-70])", ""),
    "near": ("tanh(W @ h[t-1] + h[t-7])", ""),
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("lengths", [None, {"t": [8, 3]}], ids=["equal", "unequal"])
def test_far_delay_memory_blow_up(name: str, lengths: dict[str, list[int]] | None) -> None:
    model = far(*FAR[name])
    model.memory = Memory(budget=1 << 20)
    interpret(model)
    params = model.init(seed=0)
    inputs = {"x": np.random.default_rng(0).standard_normal((2, 8, 2))}
    options: dict[str, Any] = {"lengths": lengths, "state": False}
    (loss, grads), (again, others) = (
        model.value_and_grad(params, inputs, backend=b, **options) for b in ("reference", "numba")
    )
    assert again == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(others["W"], grads["W"], atol=1e-12)
    h, other = (
        model.forward(params, inputs, backend=b, **options)["h"] for b in ("reference", "numba")
    )
    np.testing.assert_allclose(other, h, atol=1e-12)
    assert model.plan(batch=2).rows


def test_gradients_of_a_far_delay_are_checked(tmp_path: Path) -> None:
    spec = tmp_path / "far.yaml"
    spec.write_text(FAR_TEXT.format(node="tanh(W @ h[t-1000000000] + x[t])", initial=""))
    result = CliRunner().invoke(app, ["grad", str(spec), "--backend", "reference"])
    assert result.exit_code == 0, result.output


def test_what_is_read_from_afar_is_zero_or_the_initial_value() -> None:
    model = far("x[t] + h[t-1000000000]", "initial: {h: 3}\n")
    x = np.random.default_rng(0).standard_normal((1, 8, 2))
    found = model.forward(model.init(), {"x": x}, backend="reference", state=False)
    np.testing.assert_array_equal(found["h"], x + 3)


def test_a_plan_depends_on_extents_only_where_they_are_passed() -> None:
    model = far("tanh(W @ h[t-70] + x[t])")
    interpret(model)
    for steps in (8, 9, 100):
        model.forward(model.init(), {"x": np.ones((1, steps, 2))}, backend="numba", state=False)
    interpreter = engine_of(model).machine
    assert len(model._execution._planned) == 3
    texts = set(interpreter.known)
    model.forward(model.init(), {"x": np.ones((1, 101, 2))}, backend="numba", state=False)
    assert set(interpreter.known) == texts


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_state_that_would_not_fit_is_refused_with_the_reason(backend: str) -> None:
    model = far("tanh(W @ h[t-1000000000] + x[t])")
    model.memory = Memory(budget=1 << 20)
    interpret(model)
    for run in (model.forward, model.step):
        with pytest.raises(MemoryLimitError) as told:
            run(model.init(), {"x": np.ones((1, 8, 2))}, backend=backend)
        words = str(told.value)
        assert "keeps 1,000,000,000 points of h" in words and "train: {carry: false}" in words
        assert "smaller batch" not in words


def test_a_state_as_long_as_its_delay_goes_on_from_chunk_to_chunk() -> None:
    """Chunks of 8 steps, and a state of 20: what is carried is what one long run reads."""
    model = far("tanh(W @ h[t-20] + x[t])", "initial: {h: 0.25}\n")
    interpret(model)
    params = model.init(seed=0)
    x = np.random.default_rng(0).standard_normal((2, 40, 2))
    whole = model.forward(params, {"x": x}, backend="reference")["h"]
    for backend in ("reference", "numba"):
        carry = None
        for start in range(0, 40, 8):
            run = model.forward(
                params, {"x": x[:, start : start + 8]}, backend=backend, carry=carry
            )
            np.testing.assert_allclose(run["h"], whole[:, start : start + 8], atol=1e-12)
            carry = run.carry


@pytest.mark.parametrize(
    ("name", "extents"),
    [("char-rnn", {"t": 40}), ("lstm-peephole", {"t": 60}), ("attention", {}), ("rnn-2d", {})],
)
def test_the_reference_estimates_what_it_takes(name: str, extents: dict[str, int]) -> None:
    model = unfold.load(name, axes=extents)
    program = model.pipeline.adjoint(model.pipeline.wrt(None))
    inputs = random_inputs(model.program, batch=8, seed=0)
    params = model.init(seed=0)
    tracemalloc.start()
    model._execution.run("reference", program, params, inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = needs(program, Domain(program, batch=8))
    assert peak / 2 < found.walk + found.run < 4 * peak


def test_the_reference_is_refused_what_would_not_fit() -> None:
    model, params, inputs = lstm(Memory(budget=100_000))
    with pytest.raises(MemoryLimitError, match=r"lstm-peephole needs .* but may use only 97.7 KiB"):
        model.forward(params, inputs, backend="reference")
    assert not model.backend("reference").held
