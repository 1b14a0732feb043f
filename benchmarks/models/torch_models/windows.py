"""Convolutions by `torch.nn.functional`, over [batch, channels, ...] as they want it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.models.cases import Written
from benchmarks.models.packing import moved

Tensors = dict[str, Tensor]


def conv_1d(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; filters are [out, in, window]."""
    y = torch.relu(F.conv1d(data["x"], p["K"], padding=2))
    return F.conv1d(y, p["M"], padding=2).square().mean()


def conv_2d(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss."""
    y = F.max_pool2d(torch.relu(F.conv2d(data["x"], p["K"], padding=1)), 2)
    return F.conv2d(y, p["M"], padding=1).square().mean()


FILTERS = moved((1, 2, 0), "K", "M")
MODELS = {
    "conv-1d": Written(conv_1d, FILTERS.pack, FILTERS.unpack, moved((0, 2, 1), "x").pack),
    "conv-2d": Written(conv_2d),
}
