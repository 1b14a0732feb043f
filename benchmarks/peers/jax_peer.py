"""JAX: `jit` of `value_and_grad` of a loss with `lax.scan`, the input projection before the scan.

Everything that does not wait for the old state (the pick of rows by the inputs, biases, MUT1's
update gate) is computed for all steps at once, as is the output layer. Rows are picked by a gather;
one-hot products were slower everywhere. Unrolling the scan is left out: by 4 or 8 it won 10 % for
one of six cases that were tried, and lost up to three times elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.cases import Case
from benchmarks.peers.packing import pack, unpack
from benchmarks.peers.peer import Numbers, Peer, Prepared

Array = jax.Array
Parameters = dict[str, Array]
State = tuple[Array, Array]
Step = Callable[[Array, State, Parameters], State]
sigmoid, tanh = jax.nn.sigmoid, jnp.tanh


class JaxPeer(Peer[Case]):
    """JAX on its CPU device."""

    def prepare(self, case: Case) -> Prepared:
        """Put weights and data on the device; compilation happens at the first run."""
        parameters = {n: jnp.asarray(p) for n, p in pack(case, case.parameters()).items()}
        x, y = (jnp.asarray(np.ascontiguousarray(a.T), jnp.int32) for a in case.data())
        compiled = jax.jit(jax.value_and_grad(loss_of(case)))

        def run() -> Any:
            return jax.block_until_ready(compiled(parameters, x, y))

        def read(found: Any) -> Numbers:
            loss, gradients = found
            return float(loss), unpack(case, gradients)

        return Prepared(run, read)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of JAX and of its compiler."""
        return {name: version(name) for name in ("jax", "jaxlib")}


def make() -> Peer[Case]:
    """Return JAX with as many threads as XLA_FLAGS and NPROC say."""
    return JaxPeer()


def loss_of(case: Case) -> Callable[[Parameters, Array, Array], Array]:
    """Return the loss as a function of parameters, inputs and targets [steps, batch]."""
    step = STEPS[case.cell.name]
    zeros = jnp.zeros((case.shape.batch, case.shape.hidden), jnp.float32)

    def loss(p: Parameters, x: Array, y: Array) -> Array:
        def body(state: State, z: Array) -> tuple[State, Array]:
            state = step(z, state, p)
            return state, state[0]

        _, hs = jax.lax.scan(body, (zeros, zeros), _projected(case, p, x))
        scores = jax.nn.log_softmax(hs @ p["Vo"] + p["c"])
        return -jnp.mean(jnp.take_along_axis(scores, y[..., None], -1))

    return loss


def _projected(case: Case, p: Parameters, x: Array) -> Array:
    """Return what the inputs contribute to every step, [steps, batch, gates * H]."""
    picked = p["Wx"][x]
    if case.cell.name != "mut1":
        return picked + p["b"]
    hidden = case.shape.hidden
    reset, update = jnp.split(picked[..., : 2 * hidden] + p["b"], 2, -1)
    candidate = tanh(picked[..., 2 * hidden :]) + p["bh"]
    return jnp.concatenate([reset, sigmoid(update), candidate], -1)


def _rnn(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    return tanh(z + h @ p["Wh"]), s


def _lstm(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    i, f, o, g = jnp.split(z + h @ p["Wh"], 4, -1)
    s = sigmoid(f) * s + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(s), s


def _lstm_peephole(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    i, f, o, g = jnp.split(z + h @ p["Wh"], 4, -1)
    new = sigmoid(f + p["pf"] * s) * s + sigmoid(i + p["pi"] * s) * tanh(g)
    return sigmoid(o + p["po"] * new) * tanh(new), new


def _gru(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    hidden = h.shape[-1]
    product = h @ p["Wh"]
    r, u = jnp.split(sigmoid(z[:, : 2 * hidden] + product[:, : 2 * hidden]), 2, -1)
    n = tanh(z[:, 2 * hidden :] + r * (product[:, 2 * hidden :] + p["bh"]))
    return n + u * (h - n), s


def _gru_cho(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    hidden = h.shape[-1]
    r, u = jnp.split(sigmoid(z[:, : 2 * hidden] + h @ p["Wh"]), 2, -1)
    g = tanh(z[:, 2 * hidden :] + (r * h) @ p["Wg"])
    return g + u * (h - g), s


def _mut1(z: Array, state: State, p: Parameters) -> State:
    h, s = state
    reset, update, candidate = jnp.split(z, 3, -1)
    r = sigmoid(reset + h @ p["Wh"])
    g = tanh(candidate + (r * h) @ p["Wg"])
    return h + update * (g - h), s


STEPS: Mapping[str, Step] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "lstm-peephole": _lstm_peephole,
    "gru": _gru,
    "gru-cho": _gru_cho,
    "mut1": _mut1,
}
