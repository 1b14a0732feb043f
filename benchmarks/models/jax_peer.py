"""JAX: `jit` of `value_and_grad`, loops by `lax.scan` (`jax_models`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.models.cases import Model, Named, Written
from benchmarks.peers.peer import Numbers, Peer, Prepared


class JaxPeer(Peer[Model]):
    """JAX on its CPU device."""

    def prepare(self, case: Model) -> Prepared:
        """Put parameters and inputs on the device; compilation happens at the first run."""
        family = import_module(f"benchmarks.models.jax_models.{case.family}")
        arrays = case.arrays()
        if case.trained:
            return family.prepare(case, arrays)
        written: Written = family.MODELS[case.name]
        parameters = on_device(written.pack(arrays.parameters))
        inputs = on_device(written.arrange(arrays.inputs))
        compiled = jax.jit(jax.value_and_grad(written.loss))

        def run() -> Any:
            return jax.block_until_ready(compiled(parameters, inputs))

        def read(found: Any) -> Numbers:
            loss, gradients = found
            return float(loss), written.unpack({n: np.asarray(g) for n, g in gradients.items()})

        return Prepared(run, read)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of JAX and of its compiler."""
        return {name: version(name) for name in ("jax", "jaxlib")}


def on_device(arrays: Named) -> dict[str, jax.Array]:
    """Return arrays on the device, row by row; integers have 32 bits there."""
    return {n: jnp.asarray(a.copy("C")) for n, a in arrays.items()}


def make() -> Peer[Model]:
    """Return JAX with as many threads as XLA_FLAGS and NPROC say."""
    return JaxPeer()
