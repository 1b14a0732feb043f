"""State carried from chunk to chunk: the chunks of a long sequence mean what the whole means.

Values: chunks in a row equal one long run, whatever their lengths, also where a chunk is shorter
than a delay. Gradients: those of the long sequence with every reference that crosses a cut stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from gradients import check_gradient, draw, sample

import unfold
from unfold.core.verify import verify
from unfold.errors import DataError
from unfold.passes.carry import carry_state, delays, hand_over

STEPS = 7
CUTS = [(4, 3), (1, 6), (2, 2, 3), (1, 1, 1, 4), (6, 1)]

HEAD = "unfold: 1\nname: chunks\n"
SPECS = {
    "learned": """
axes: {t: 7}
inputs: {x[t]: [2]}
parameters: {W: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-1] + x[t])
initial: {h: learned}
loss: sum[t](h[t] @ h[t])
""",
    "long delays": """
axes: {t: 7}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-3] + V @ h[t-1] + x[t-2])
  g[t]: h[t] * g[t-1] + h[t-4]
initial: {h: learned, g: ones}
loss: sum[t](g[t] @ g[t])
""",
    "several initial values": """
axes: {t: 7}
inputs: {x[t]: [2], u: [2]}
parameters: {W: [2,2], V: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-3] + V @ h[t-1] + x[t])
  g[t]: h[t] * g[t-1] + h[t-2] * g[t-2]
initial: {h: {-1: learned, -3: tanh(u)}, g: 0.5 * t * u}
loss: sum[t](g[t] @ g[t])
""",
    "cell": """
axes: {t: 7}
inputs: {x[t]: [2]}
nodes:
  l[t]: lstm(x[t], hidden=3)
initial: {l.s: learned}
loss: sum[t](l[t] @ l[t])
""",
    "window": """
axes: {t: 7, k: 3}
inputs: {x[t]: [2]}
parameters: {K[k]: [2,2]}
nodes:
  y[t]: tanh(sum[k](K[k] @ x[t-k]))
  h[t]: tanh(sum[k](K[k] @ h[t-k-1]) + y[t])
initial: {h: 0.5}
loss: sum[t](h[t] @ h[t])
""",
    "micro-steps": """
axes: {t: 7, l: 3}
inputs: {x[t]: [2]}
parameters: {R[l]: [2,2]}
nodes:
  s[t,l]: tanh(R[l] @ s[t,l-1] + x[t])
initial: {s[l]: "s[t-1,last]", s[t]: learned}
loss: sum[t](s[t,last] @ s[t,last])
""",
    "loss reads late": """
axes: {t: 7}
inputs: {x[t]: [2], y[t]: [2]}
parameters: {W: [2,2]}
nodes:
  h[t]: tanh(W @ x[t])
loss: sum[t](h[t-1] @ y[t])
""",
    "category": """
axes: {t: 7}
inputs: {x[t]: {category: 5}}
parameters: {U: [5,5]}
nodes:
  h[t]: tanh(U @ x[t-2] + h[t-1])
initial: {x: 3}
loss: sum[t](cross_entropy(h[t], x[t]))
""",
    "counter": """
axes: {t: 7}
inputs: {x[t]: [2]}
parameters: {w: [2]}
nodes:
  n[t]: n[t-1] * w + 1
  y[t]: x[t] * n[t]
loss: sum[t](y[t] @ y[t])
""",
    "feedback": """
axes: {t: 7}
inputs: {x[t]: [2], y[t]: {category: 3}}
parameters: {R: [3,3], U: [3,2]}
nodes:
  prev[t]: feedback(teacher=y[t-1], free=argmax(o[t-1]))
  o[t]: tanh(R @ prev[t] + U @ x[t])
initial: {y: 1}
loss: sum[t](cross_entropy(o[t], y[t]))
""",
}
MODES = [(n, "teacher") for n in SPECS] + [("feedback", "free"), ("feedback", ("scheduled", 0.5))]


def chunks(inputs: Mapping[str, Any], cut: Sequence[int]) -> list[dict[str, Any]]:
    ends = np.cumsum(cut)
    whole = {n: a for n, a in inputs.items() if n == "u"}
    cut_up = {n: a for n, a in inputs.items() if n not in whole}
    return [
        {**whole, **{n: a[:, e - c : e] for n, a in cut_up.items()}}
        for c, e in zip(cut, ends, strict=True)
    ]


def long(name: str, seed: int = 0) -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    model, params, inputs, _ = sample(HEAD + SPECS[name].strip(), {"t": STEPS}, seed=seed)
    return model, params, inputs


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("name", "mode"), [m for m in MODES if m[1] in ("teacher", "free")])
def test_chunks_in_a_row_equal_one_long_run(name: str, mode: Any, cut: tuple[int, ...]) -> None:
    model, params, inputs = long(name)
    whole = model.forward(params, inputs, mode=mode)
    carry, parts, loss = None, [], 0.0
    for chunk in chunks(inputs, cut):
        run = model.forward(params, chunk, mode=mode, carry=carry)
        carry, loss = run.carry, loss + (run.loss or 0.0)
        parts.append(run)
    for node in model.pipeline.nodes:
        if "t" in model.program[node].axes:
            joined = np.concatenate([p[node] for p in parts], axis=1)
            np.testing.assert_allclose(joined, whole[node], rtol=1e-13, atol=1e-14, err_msg=node)
    np.testing.assert_allclose(loss, whole.loss, rtol=1e-13)
    for key, value in whole.carry.items():
        np.testing.assert_allclose(carry[key], value, rtol=1e-13, atol=1e-14, err_msg=key)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "name", ["learned", "long delays", "feedback", "window", "several initial values"]
)
def test_steps_hand_over_the_same_state(name: str, cut: tuple[int, ...]) -> None:
    """A training step returns the state that a forward run returns."""
    model, params, inputs = long(name)
    carry = None
    for chunk in chunks(inputs, cut):
        run = model.forward(params, chunk, carry=carry)
        step = model.step(params, chunk, carry=carry)
        assert set(step.carry) == set(run.carry)
        for key, value in run.carry.items():
            assert np.array_equal(step.carry[key], value), key
        carry = run.carry


@pytest.mark.parametrize("name", ["learned", "long delays", "window", "micro-steps", "category"])
def test_unequal_lengths(name: str) -> None:
    """Every sequence goes on where it stopped, however short its chunk was."""
    model, params, inputs = long(name)
    first, second = [4, 1, 2], [3, 2, 1]
    chunk = {n: a[:, :4] for n, a in inputs.items()}
    run = model.forward(params, chunk, lengths={"t": first})
    starts = np.array(first)[:, None] + np.arange(3)
    rest = {n: a[np.arange(3)[:, None], starts] for n, a in inputs.items()}
    after = model.forward(params, rest, lengths={"t": second}, carry=run.carry)
    for number, (start, steps) in enumerate(zip(first, second, strict=True)):
        alone = {n: a[number : number + 1, : start + steps] for n, a in inputs.items()}
        whole = model.forward(params, alone)
        for node in model.pipeline.nodes:
            if "t" in model.program[node].axes:
                found = after[node][number, :steps]
                np.testing.assert_allclose(found, whole[node][0, start:], rtol=1e-12, atol=1e-14)
        for key, value in whole.carry.items():
            np.testing.assert_allclose(after.carry[key][number], value[0], rtol=1e-12, atol=1e-14)


def test_what_is_handed_over() -> None:
    """The last values in order, the oldest first; before the first step the initial values."""
    model, params, inputs = long("long delays")
    run = model.forward(params, inputs, lengths={"t": [7, 2, 4]})
    assert {n: a.shape for n, a in run.carry.items()} == {
        "x": (3, 2, 2),
        "h": (3, 4, 2),
        "g": (3, 1, 2),
    }
    np.testing.assert_array_equal(run.carry["h"][0], run["h"][0, 3:])
    np.testing.assert_array_equal(run.carry["h"][1, :2], [params["h.initial"]] * 2)
    np.testing.assert_array_equal(run.carry["h"][1, 2:], run["h"][1, :2])
    np.testing.assert_array_equal(run.carry["x"][2], inputs["x"][2, 2:4])


# Gradients

CUT = {
    "learned": {"h[t-1]": 1},
    "long delays": {"h[t-3]": 3, "h[t-1]": 1, "g[t-1]": 1, "h[t-4]": 4},
}


def stopped(name: str, cut: int) -> str:
    """Return the spec of the long sequence, what crosses a cut stopped, its loss after it."""
    text = SPECS[name]
    for read, delay in CUT[name].items():
        crosses = f"t >= {cut} and t < {cut + delay}"
        text = text.replace(read, f"where({crosses}, stop_gradient({read}), {read})")
    loss = text.split("sum[t](")[1].split(")\n")[0]
    return HEAD + text.replace(f"sum[t]({loss})", f"sum[t](where(t >= {cut}, {loss}, 0))").strip()


@pytest.mark.parametrize("cut", [1, 2, 4])
@pytest.mark.parametrize("name", CUT)
def test_gradients_stop_at_the_cut(name: str, cut: int) -> None:
    model, params, inputs = long(name)
    first, second = chunks(inputs, (cut, STEPS - cut))
    carry = model.forward(params, first).carry
    loss, grads = model.value_and_grad(params, second, carry=carry, wrt=(*params, "x"))
    other = unfold.loads(stopped(name, cut), axes={"t": STEPS})
    expected_loss, expected = other.value_and_grad(params, inputs, wrt=(*params, "x"))
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-13)
    for key in params:
        # A second chunk that begins within the delay still sees the learned initial value.
        if not (key.endswith("initial") and cut < 4 and name == "long delays"):
            np.testing.assert_allclose(grads[key], expected[key], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(grads["x"], expected["x"][:, cut:], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["learned", "long delays", "window", "micro-steps", "counter"])
def test_gradients_of_the_state(name: str) -> None:
    """The loss of a chunk can be differentiated by what it started from."""
    model, params, inputs = long(name)
    first, second = chunks(inputs, (3, 4))
    carry = model.forward(params, first).carry
    at = {f"carry.{n}": a for n, a in carry.items()}

    def split(values: Mapping[str, Any]) -> dict[str, Any]:
        return {n.removeprefix("carry."): a for n, a in values.items()}

    def loss(values: Mapping[str, Any]) -> float:
        return model.forward(params, second, carry=split(values)).loss or 0.0

    def gradient(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return model.value_and_grad(params, second, carry=split(values), wrt=tuple(at))[1]

    check_gradient(loss, gradient, at)


@pytest.mark.parametrize("name", ["learned", "long delays", "cell", "window", "counter"])
def test_gradients_of_parameters_with_a_given_state(name: str) -> None:
    model, params, inputs = long(name)
    carry = draw({n: a.shape for n, a in model.forward(params, inputs).carry.items()}, seed=1)
    check_gradient(
        lambda at: model.forward(at, inputs, carry=carry).loss or 0.0,
        lambda at: model.value_and_grad(at, inputs, carry=carry)[1],
        params,
    )


def test_a_learned_initial_state_has_no_share_in_later_chunks() -> None:
    model, params, inputs = long("learned")
    first, second = chunks(inputs, (4, 3))
    _, grads = model.value_and_grad(params, first)
    assert grads["h.initial"].any()
    carry = model.forward(params, first).carry
    _, grads = model.value_and_grad(params, second, carry=carry)
    assert not grads["h.initial"].any()


# Between modes, and what is refused

MIXED = """
axes: {t: 7}
inputs: {x[t]: [2], y[t]: [2]}
parameters: {A: [2,2], W: [2,2]}
nodes:
  prev[t]: feedback(teacher=A @ y[t-2], free=h[t-3])
  h[t]: tanh(W @ prev[t] + x[t])
initial: {x: zeros}
loss: sum[t](h[t] @ x[t-1])
"""


def mixed() -> tuple[unfold.Model, dict[str, Any], dict[str, Any]]:
    """A model with a state that only a free run reads, and one that only a taught run reads."""
    model, params, inputs, _ = sample(HEAD + MIXED.strip(), {"t": STEPS}, seed=3)
    return model, params, inputs


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize(("mode", "unread"), [("teacher", "h"), ("free", "y")])
def test_a_state_that_a_mode_does_not_read_has_no_gradient(
    mode: Any, unread: str, backend: str
) -> None:
    model, params, inputs = mixed()
    carry = draw({n: a.shape for n, a in model.forward(params, inputs).carry.items()}, seed=1)
    wrt = [f"carry.{n}" for n in ("h", "x", "y")]
    _, grads = model.value_and_grad(
        params, inputs, carry=carry, mode=mode, wrt=wrt, backend=backend
    )
    assert {n: g.shape for n, g in grads.items()} == {
        f"carry.{n}": a.shape for n, a in carry.items()
    }
    assert [n for n in wrt if not grads[n].any()] == [f"carry.{unread}"]


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_short_chunk_hands_on_what_only_another_mode_reads(backend: str) -> None:
    """Taught chunks of one step, then a free one: it reads three steps back."""
    model, params, inputs = mixed()
    carry = None
    for chunk in chunks(inputs, (1, 1, 1, 1)):
        carry = model.forward(params, chunk, carry=carry, backend=backend).carry
    whole = model.forward(params, {n: a[:, :4] for n, a in inputs.items()}, backend=backend)
    assert carry is not None
    for key, value in whole.carry.items():
        np.testing.assert_allclose(carry[key], value, rtol=1e-12, atol=1e-14, err_msg=key)


@pytest.mark.parametrize(("steps", "known"), [(1, False), (2, True)])
def test_a_state_that_cannot_be_known_is_left_out(steps: int, known: bool) -> None:
    """Targets come late: a chunk that is shorter than their delay cannot hand on all of them."""
    text = SPECS["learned"].replace("{x[t]: [2]}", "{x[t]: [2], y[t]: [2]}")
    text = text.replace("h[t] @ h[t]", "h[t] @ y[t-2]").replace(
        "h: learned", "h: learned, y: zeros"
    )
    model, params, inputs, _ = sample(HEAD + text.strip(), {"t": STEPS}, seed=2)
    first, second, third = chunks(inputs, (2, steps, 5 - steps))
    run = model.forward(params, {"x": first["x"]})
    assert run.loss is None and set(run.carry) == {"h"}
    run = model.forward(params, second, carry=run.carry)
    assert ("y" in run.carry) is known
    run = model.forward(params, third, carry=run.carry)
    late = [(run["h"][:, i] * inputs["y"][:, steps + i]).sum(1) for i in range(5 - steps)]
    if known:
        assert run.loss is not None
        np.testing.assert_allclose(run.loss, np.sum(late, axis=0).mean(), rtol=1e-12)
    else:
        assert run.loss is None


def test_only_numbers_of_a_state_that_is_given_have_gradients() -> None:
    model, params, inputs = long("learned")
    with pytest.raises(
        DataError, match=r"cannot differentiate with respect to carry\.h without a state"
    ):
        model.value_and_grad(params, inputs, wrt=["carry.h"])
    model, params, inputs = long("category")
    carry = model.forward(params, inputs).carry
    with pytest.raises(
        DataError, match=r"cannot differentiate with respect to carry\.x; choose from"
    ):
        model.value_and_grad(params, inputs, wrt=["carry.x"], carry=carry)


def test_a_free_run_goes_on_from_a_taught_one() -> None:
    """At the cut the free run takes what the model said last, not the teacher's first value."""
    model, params, inputs = long("feedback")
    first, second = chunks(inputs, (4, 3))
    taught = model.forward(params, first)
    free = model.forward(params, {"x": second["x"]}, mode="free", carry=taught.carry)
    expected = np.argmax(taught["o"][:, -1], axis=-1)
    np.testing.assert_array_equal(free["prev"][:, 0], expected)


def test_a_taught_run_goes_on_from_a_free_one() -> None:
    model, params, inputs = long("feedback")
    first, second = chunks(inputs, (4, 3))
    free = model.forward(params, first, mode="free")
    taught = model.forward(params, second, carry=free.carry)
    np.testing.assert_array_equal(taught["prev"][:, 0], inputs["y"][:, 3])


def test_a_state_that_does_not_fit() -> None:
    model, params, inputs = long("long delays")
    carry = model.forward(params, inputs).carry
    with pytest.raises(DataError, match=r"carry\.h contains 3 steps, expected the last 4"):
        model.forward(params, inputs, carry={**carry, "h": carry["h"][:, 1:]})
    with pytest.raises(DataError, match=r"carry\.g is missing"):
        model.forward(params, inputs, carry={n: carry[n] for n in ("x", "h")})
    with pytest.raises(DataError, match="disagree along batch"):
        model.forward(params, inputs, carry={**carry, "h": carry["h"][:2]})


def test_delays() -> None:
    program = long("long delays")[0].program
    assert delays(program, "t") == {"h": 4, "x": 2, "g": 1}
    assert delays(long("window")[0].program, "t") == {"x": 2, "h": 3}
    assert delays(long("loss reads late")[0].program, "t") == {"h": 1}


def test_the_passes_keep_what_they_do_not_need() -> None:
    program = long("long delays")[0].program
    handed = verify(hand_over(program, "t", {"h": 4, "nothing": 1}))
    assert handed.outputs == (*program.outputs, "next.h")
    assert {n: v for n, v in handed.values.items() if n != "next.h"} == dict(program.values)
    carried = verify(carry_state(program, "t"))
    assert set(carried.values) - set(program.values) == {"carry.h", "carry.x", "carry.g"}
    for value in program:
        assert carried[value.name].operands == value.operands
