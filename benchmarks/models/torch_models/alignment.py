"""Connectionist temporal classification by `ctc_loss`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.models.cases import Written
from benchmarks.models.packing import moved

Tensors = dict[str, Tensor]


def ctc(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; x is [steps, batch, features], labels are [batch, labels]."""
    scores = F.log_softmax(F.linear(data["x"], p["V"], p["c"]), -1)
    steps, batch, classes = scores.shape
    lengths = [torch.full((batch,), n) for n in (steps, data["y"].shape[1])]
    return F.ctc_loss(scores, data["y"], *lengths, blank=classes - 1, reduction="sum") / batch


MODELS = {"ctc": Written(ctc, arrange=moved((1, 0, 2), "x").pack)}
