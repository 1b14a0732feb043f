"""unfold as its users call it: `value_and_grad`, and the loop of `unfold run` for a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.models.cases import CHUNKS, START, Arrays, Model, stepped
from benchmarks.peers.peer import Numbers, Peer, Prepared
from benchmarks.peers.unfold_peer import UnfoldPeer as Cells
from unfold.training.checkpoint import TrainingState
from unfold.training.data.batches import StreamSource
from unfold.training.learner import Learner
from unfold.training.loop import Trainer


class UnfoldPeer(Peer[Model]):
    """The public interface on one backend.

    Args:
        backend: its name.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.versions_of = Cells(backend).versions

    def prepare(self, case: Model) -> Prepared:
        """Load the case's spec at its sizes."""
        arrays = case.arrays()
        if case.trained:
            return self._training(case, arrays)
        model = case.load()

        def run() -> Any:
            return model.value_and_grad(arrays.parameters, arrays.inputs, backend=self.backend)

        def read(found: Any) -> Numbers:
            loss, gradients = found
            return float(loss), {n: np.asarray(g) for n, g in gradients.items()}

        return Prepared(run, read)

    def _training(self, case: Model, arrays: Arrays) -> Prepared:
        """Prepare a step as `unfold run` takes it, writing nothing."""
        learner, settings = Learner(case.load(), self.backend), case.settings()

        def trainer() -> Trainer:
            length = next(iter(arrays.inputs.values())).shape[1] // CHUNKS
            source = StreamSource(arrays.inputs, length)
            state = TrainingState(START, arrays.parameters, arrays.moments)
            return Trainer(learner, source, settings, state)

        going = trainer()

        def read(_: Any) -> Numbers:
            fresh = trainer()
            loss = fresh.step().loss
            state = fresh.state()
            return stepped(loss, state.parameters, state.slots)

        return Prepared(going.step, read)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the package and of what its backend needs."""
        return self.versions_of()


def make(backend: str = "numba") -> Peer[Model]:
    """Return the peer for a backend."""
    return UnfoldPeer(backend)
