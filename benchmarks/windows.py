"""Convolutions and attention beside PyTorch and JAX: the loss and all gradients, float32.

    python -m benchmarks.windows [ROUNDS]

conv-1d is written with an index, `sum[k](K[k] @ x[t+k-2])`, conv-2d with the operator, attention
with `sum[s](a[t,s] * v[s])`. All peers get the same numbers; turns are taken in one process, and
the shortest of each is told: other programs use the machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import unfold

Arrays = Mapping[str, Any]
ROUNDS, SECONDS = 5, 0.15


@dataclass(frozen=True)
class Case:
    """One layer: a spec, and the same loss for the peers, given a module and its convolutions."""

    spec: str
    batch: int
    torch: Callable[[Arrays, Any], Any]
    jax: Callable[[Arrays, Any], Any]


CONV_1D = """
unfold: 1
name: conv-1d
axes: {t: 100, k: 5}
inputs:
  x[t]: [64]
parameters:
  K[k]: [64, 64]
  M[k]: [64, 64]
nodes:
  y[t]: relu(sum[k](K[k] @ x[t+k-2]))
  z[t]: sum[k](M[k] @ y[t+k-2])
loss: mean[t](mse(z[t], 0))
"""
CONV_2D = """
unfold: 1
name: conv-2d
inputs:
  x: [16, 28, 28]
parameters:
  K: [32, 16, 3, 3]
  M: [32, 32, 3, 3]
nodes:
  y: max_pool2d(relu(conv2d(x, K, padding=same)), size=2)
  z: conv2d(y, M, padding=same)
loss: mse(z, 0)
"""
ATTENTION = """
unfold: 1
name: attention
axes: {t: 100, s: t}
inputs:
  x[t]: [64]
parameters:
  Q: [64, 64]
  K: [64, 64]
  V: [64, 64]
nodes:
  q[t]: Q @ x[t]
  k[s]: K @ x[s]
  v[s]: V @ x[s]
  a[t,s]: softmax[s]((q[t] @ k[s]) / 8)
  c[t]: sum[s](a[t,s] * v[s])
loss: mean[t](mse(c[t], 0))
"""


def _torch_1d(p: Arrays, x: Any) -> Any:
    conv = torch.nn.functional.conv1d
    y = torch.relu(conv(x.transpose(1, 2), p["K"].permute(1, 2, 0), padding=2))
    return (conv(y, p["M"].permute(1, 2, 0), padding=2) ** 2).mean()


def _jax_conv(x: Any, kernel: Any, layout: tuple[str, str, str]) -> Any:
    ones = (1,) * (kernel.ndim - 2)
    return jax.lax.conv_general_dilated(x, kernel, ones, "SAME", dimension_numbers=layout)


def _jax_1d(p: Arrays, x: Any) -> Any:
    layout = ("NHC", "HOI", "NHC")
    y = jax.nn.relu(_jax_conv(x, p["K"], layout))
    return (_jax_conv(y, p["M"], layout) ** 2).mean()


def _torch_2d(p: Arrays, x: Any) -> Any:
    f = torch.nn.functional
    y = f.max_pool2d(torch.relu(f.conv2d(x, p["K"], padding=1)), 2)
    return (f.conv2d(y, p["M"], padding=1) ** 2).mean()


def _jax_2d(p: Arrays, x: Any) -> Any:
    layout = ("NCHW", "OIHW", "NCHW")
    y = jax.nn.relu(_jax_conv(x, p["K"], layout))
    rows = jnp.maximum(y[:, :, ::2], y[:, :, 1::2])
    y = jnp.maximum(rows[..., ::2], rows[..., 1::2])
    return (_jax_conv(y, p["M"], layout) ** 2).mean()


def _torch_attention(p: Arrays, x: Any) -> Any:
    q, k, v = (x @ p[n].T for n in "QKV")
    return ((torch.softmax(q @ k.transpose(1, 2) / 8, -1) @ v) ** 2).mean()


def _jax_attention(p: Arrays, x: Any) -> Any:
    q, k, v = (x @ p[n].T for n in "QKV")
    return ((jax.nn.softmax(q @ k.transpose(0, 2, 1) / 8) @ v) ** 2).mean()


CASES = {
    "conv-1d": Case(CONV_1D, 32, _torch_1d, _jax_1d),
    "conv-2d": Case(CONV_2D, 32, _torch_2d, _jax_2d),
    "attention": Case(ATTENTION, 32, _torch_attention, _jax_attention),
}


def turns(case: Case) -> dict[str, Callable[[], tuple[float, Any]]]:
    """Return what computes the loss and the gradients, by peer; the first call of each compiles."""
    model = unfold.loads(case.spec)
    params = model.init(seed=0, dtype="float32")
    declared = model.program["x"]
    extents = tuple(model.program.axes[a].extent.constant for a in declared.axes[1:])
    shape = (case.batch, *extents, *map(int, declared.type.shape))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    tensors = {n: torch.tensor(a, requires_grad=True) for n, a in params.items()}
    compiled, given = jax.jit(jax.value_and_grad(case.jax)), torch.tensor(x)

    def ours() -> tuple[float, Any]:
        loss, grads = model.value_and_grad(params, {"x": x}, backend="numba")
        return float(loss), grads

    def in_torch() -> tuple[float, Any]:
        loss = case.torch(tensors, given)
        grads = torch.autograd.grad(loss, list(tensors.values()))
        return loss.item(), {n: g.numpy() for n, g in zip(tensors, grads, strict=True)}

    def in_jax() -> tuple[float, Any]:
        loss, grads = jax.block_until_ready(compiled(dict(params), x))
        return float(loss), grads

    return {"unfold": ours, "PyTorch": in_torch, "JAX": in_jax}


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Return the shortest milliseconds of each peer; all must find the same."""
    calls = turns(case)
    wanted, grads = calls["PyTorch"]()
    for name, call in calls.items():
        loss, found = call()
        assert abs(loss - wanted) < 1e-4 * abs(wanted), (name, loss, wanted)
        for n, g in grads.items():
            assert np.abs(np.asarray(found[n]) - g).max() < 1e-2 * np.abs(g).max(), (name, n)
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            end = time.perf_counter() + SECONDS
            while (began := time.perf_counter()) < end:
                call()
                best[name] = min(best[name], 1e3 * (time.perf_counter() - began))
    return best


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"PyTorch {torch.__version__}, JAX {jax.__version__}, {torch.get_num_threads()} threads")
    for name, case in CASES.items():
        best = measure(case, rounds)
        shown = "  ".join(f"{peer} {ms:.2f} ms" for peer, ms in best.items())
        print(f"{name:10} {shown}", flush=True)


if __name__ == "__main__":
    main()
