"""PyTorch, eager: layers where there are any, loops over steps elsewhere (`torch_models`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import torch
from torch import Tensor

from benchmarks.models.cases import Model, Named, Written
from benchmarks.peers.peer import Numbers, Peer, Prepared


class TorchPeer(Peer[Model]):
    """PyTorch on the processor."""

    def prepare(self, case: Model) -> Prepared:
        """Make tensors of parameters and inputs, in the layout that the model wants."""
        family = import_module(f"benchmarks.models.torch_models.{case.family}")
        arrays = case.arrays()
        if case.trained:
            return family.prepare(case, arrays)
        written: Written = family.MODELS[case.name]
        parameters = tensors(written.pack(arrays.parameters))
        inputs = tensors(written.arrange(arrays.inputs))
        for parameter in parameters.values():
            parameter.requires_grad_()

        def run() -> Tensor:
            for parameter in parameters.values():
                parameter.grad = None
            loss = written.loss(parameters, inputs)
            loss.backward()
            return loss

        def read(loss: Tensor) -> Numbers:
            gradients = {n: gradient(p).numpy() for n, p in parameters.items()}
            return loss.item(), written.unpack(gradients)

        return Prepared(run, read)

    def versions(self) -> Mapping[str, str]:
        """Return PyTorch's version."""
        return {"torch": torch.__version__}


def tensors(arrays: Named) -> dict[str, Tensor]:
    """Return tensors with memory of their own, row by row."""
    return {n: torch.from_numpy(a.copy("C")) for n, a in arrays.items()}


def gradient(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter that has one."""
    assert parameter.grad is not None
    return parameter.grad


def make() -> Peer[Model]:
    """Return PyTorch with as many threads as OMP_NUM_THREADS says."""
    return TorchPeer()
