"""unfold as its users call it: a spec, its sizes, `value_and_grad`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.peers.cases import Case
from benchmarks.peers.peer import Numbers, Peer, Prepared
from unfold import __version__, load


class UnfoldPeer(Peer[Case]):
    """The public interface on one backend.

    Args:
        backend: its name.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend
        if backend == "numba":
            import_module("numba")  # a compiler is part of starting, not of the first gradient

    def prepare(self, case: Case) -> Prepared:
        """Load the case's spec at its sizes."""
        shape = case.shape
        model = load(case.cell.spec, sizes={"hidden": shape.hidden}, axes={"t": shape.steps})
        x, y = case.data()
        parameters, inputs = case.parameters(), {"x": x, "y": y}

        def run() -> Any:
            return model.value_and_grad(parameters, inputs, backend=self.backend)

        def read(found: Any) -> Numbers:
            loss, gradients = found
            return float(loss), {n: np.asarray(g) for n, g in gradients.items()}

        return Prepared(run, read)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the package and of what its backend needs."""
        packages = {"numba": ("numba", "llvmlite", "numpy")}
        needed = packages.get(self.backend, ("numpy",))
        return {"unfold": __version__, **{n: version(n) for n in needed}}


def make(backend: str = "numba") -> Peer[Case]:
    """Return the peer for a backend."""
    return UnfoldPeer(backend)
