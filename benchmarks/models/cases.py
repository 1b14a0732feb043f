"""What is computed: a spec at a size, with the same parameters and data for everybody.

    CASES["ctc"].arrays()  →  parameters {V: [30, 32], c: [30]}, inputs {x: [32, 100, 32], ...}

In: the name of a case. Out: a `Model`, whose arrays follow from its spec and a seed alone.
Parameters are [*axes, *shape] by the names of the spec, inputs [batch, *axes, *shape]. A case with
a `start` is a training step: its inputs hold `CHUNKS` chunks, between which the state is carried,
and its optimiser has taken `START` steps, so its moments are no longer zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import unfold
from benchmarks.peers.peer import Numbers
from unfold.settings.train import TrainSettings, read_train
from unfold.training.data import random_inputs

SPECS = Path(__file__).parent.parent / "specs"
CHUNKS = 8
START = 400
Named = dict[str, np.ndarray]


@dataclass(frozen=True)
class Arrays:
    """What everybody gets, in float32 and integers.

    Attributes:
        parameters, inputs: by the names of the spec.
        moments: for a training step, Adam's averages of g (`mean`) and g² (`square`), by parameter.
    """

    parameters: Named
    inputs: Named
    moments: Mapping[str, Named] = field(default_factory=dict[str, Named])


@dataclass(frozen=True)
class Model:
    """A model that is compared.

    Attributes:
        name: of the case.
        family: the file of `torch_models` and `jax_models` that has it.
        spec: a file of `benchmarks/specs`, or a spec of the package.
        batch: number of sequences.
        axes, sizes: that differ from the spec's.
        trained: whether a training step is computed.
    """

    name: str
    family: str
    spec: str
    batch: int = 32
    axes: Mapping[str, int] = field(default_factory=dict[str, int])
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    trained: bool = False

    def load(self, *, axes: Mapping[str, int] | None = None) -> unfold.Model:
        """Load the spec at the case's sizes, at other extents of `axes` if there are any."""
        own = SPECS / f"{self.spec}.yaml"
        path = own if own.exists() else self.spec
        return unfold.load(path, sizes=self.sizes, axes={**self.axes, **(axes or {})})

    def settings(self) -> TrainSettings:
        """Return how the spec trains: the optimiser and its constants, clipping."""
        section = self.load().spec.train
        assert section is not None, f"{self.name}: its spec has no section train"
        return read_train(section)

    def arrays(self, seed: int = 0) -> Arrays:
        """Draw parameters as the spec says, normal numbers and uniform classes."""
        model = self.load()
        parameters = model.init(seed=seed, dtype="float32")
        if not self.trained:
            inputs = random_inputs(model.program, batch=self.batch, seed=seed, dtype="float32")
            return Arrays(parameters, inputs)
        steps = CHUNKS * model.summary()["axes"]["t"]
        longer = self.load(axes={"t": steps}).program
        inputs = random_inputs(longer, batch=self.batch, seed=seed, dtype="float32")
        return Arrays(parameters, inputs, _moments(parameters, seed))


def _moments(parameters: Named, seed: int) -> dict[str, Named]:
    """Draw averages as they may be after some steps: small, squares above means' squares."""
    generator = np.random.default_rng(seed)
    means = {n: 1e-3 * generator.standard_normal(p.shape) for n, p in parameters.items()}
    squares = {n: m**2 + 1e-5 * generator.random(m.shape) for n, m in means.items()}
    both = {"mean": means, "square": squares}
    return {k: {n: a.astype(np.float32) for n, a in v.items()} for k, v in both.items()}


def stepped(loss: float, parameters: Mapping[str, Any], moments: Mapping[str, Any]) -> Numbers:
    """Return the numbers of a training step, by which peers are compared.

    Args:
        loss: before the step.
        parameters: after it.
        moments: after it, by name (`mean`, `square`) and parameter.
    """
    found = {n: np.array(a) for n, a in parameters.items()}
    for kind, arrays in moments.items():
        found |= {f"{kind} {n}": np.array(a) for n, a in arrays.items()}
    return loss, found


def _same(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return dict(arrays)


@dataclass(frozen=True)
class Written:
    """How a peer writes a model.

    Attributes:
        loss: parameters and inputs, as the peer keeps them → the loss.
        pack: parameters of the spec → as the peer keeps them (NumPy).
        unpack: gradients of what `pack` returned → gradients by the names of the spec (NumPy).
        arrange: inputs of the spec → as the peer wants them (NumPy).
    """

    loss: Callable[[Any, Any], Any]
    pack: Callable[[Named], Named] = _same
    unpack: Callable[[Named], Named] = _same
    arrange: Callable[[Named], Named] = _same


CASES: Mapping[str, Model] = {
    case.name: case
    for case in (
        Model("conv-1d", "windows", "conv-1d"),
        Model("conv-2d", "windows", "conv-2d"),
        Model("self-attention", "attention", "self-attention"),
        Model("looped-transformer", "attention", "looped-transformer", batch=8),
        Model(
            "encoder-decoder",
            "attention",
            "attention",
            axes={"s": 30, "t": 30},
            sizes={"source": 65, "target": 65, "encoder": 128, "decoder": 128, "score": 128},
        ),
        Model("lstm-layer-norm", "recurrent", "lstm-layer-norm"),
        Model("bidirectional-lstm", "recurrent", "bidirectional-lstm"),
        Model(
            "rnn-2d", "recurrent", "digits-2d-rnn", axes={"i": 28, "j": 28}, sizes={"hidden": 32}
        ),
        Model("fast-weights", "memory", "fast-weights"),
        Model("fast-weights-sum", "memory", "fast-weights-sum"),
        Model("ctc", "alignment", "ctc"),
        Model("char-rnn-adam", "training", "char-rnn", trained=True),
    )
}
