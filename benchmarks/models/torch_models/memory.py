"""Fast weights: a loop over steps whose state is a matrix.

The sum over earlier states that `fast-weights-sum` writes is the same product, so its peer is the
loop with the matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.models.cases import Written
from benchmarks.models.packing import steps_first
from benchmarks.models.torch_models.recurrent import entropy

Tensors = dict[str, Tensor]


def fast_weights(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; data is [steps, batch]."""
    own = F.linear(data["x"], p["U"], p["b"])
    _, batch, hidden = own.shape
    h, memory = own.new_zeros(batch, hidden), own.new_zeros(batch, hidden, hidden)
    found: list[Tensor] = []
    for z in own.unbind(0):
        memory = torch.baddbmm(memory, h[:, :, None], h[:, None], beta=0.95, alpha=0.5)
        z = z + F.linear(h, p["W"])
        read = torch.bmm(memory, torch.tanh(z)[:, :, None])[:, :, 0]
        h = torch.tanh(F.layer_norm(z + read, (hidden,), p["gain"]))
        found.append(h)
    return entropy(torch.stack(found), p, data)


WRITTEN = Written(fast_weights, arrange=steps_first)
MODELS = {"fast-weights": WRITTEN, "fast-weights-sum": WRITTEN}
