"""Fast weights: a loop over steps that weights all earlier states and adds them up.

The matrix of `fast-weights` gives the same product; a loop with the matrix took nearly twice as
long, so both cases have this peer.
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
    steps, batch, hidden = own.shape
    fading = 0.5 * 0.95 ** torch.arange(steps - 1, -1, -1.0)
    h = own.new_zeros(batch, hidden)
    found: list[Tensor] = []
    for t, z in enumerate(own.unbind(0)):
        z = z + F.linear(h, p["W"])
        if found:
            past = torch.stack(found, 1)  # [batch, t, hidden]
            weights = fading[-t:] * torch.bmm(past, torch.tanh(z)[:, :, None])[:, :, 0]
            z = z + torch.bmm(weights[:, None], past)[:, 0]
        h = torch.tanh(F.layer_norm(z, (hidden,), p["gain"]))
        found.append(h)
    return entropy(torch.stack(found), p, data)


WRITTEN = Written(fast_weights, arrange=steps_first)
MODELS = {"fast-weights": WRITTEN, "fast-weights-sum": WRITTEN}
