"""Recurrent layers: `nn.LSTM` in both directions, loops for those that PyTorch lacks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks.models.cases import Named, Written
from benchmarks.models.packing import Packing, steps_first

Tensors = dict[str, Tensor]


def lstm_layer_norm(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; data is [steps, batch], its product normalised for all steps at once."""
    rows, hidden = p["W"].shape
    own = F.layer_norm(F.linear(data["x"], p["U"]), (rows,), p["gain_x"], p["b"])
    h = s = torch.zeros(own.shape[1], hidden)
    found: list[Tensor] = []
    for z in own.unbind(0):
        z = z + F.layer_norm(F.linear(h, p["W"]), (rows,), p["gain_h"])
        i, f, o, g = z.chunk(4, -1)
        s = torch.sigmoid(f) * s + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(F.layer_norm(s, (hidden,), p["gain_s"], p["b_s"]))
        found.append(h)
    return entropy(torch.stack(found), p, data)


def entropy(states: Tensor, p: Tensors, data: Tensors) -> Tensor:
    """Return the mean cross-entropy of an output layer V, c over states [steps, batch, hidden]."""
    logits = F.linear(states, p["V"], p["c"])
    return F.cross_entropy(logits.flatten(0, 1), data["y"].flatten())


@lru_cache
def _lstm(features: int, hidden: int) -> torch.nn.LSTM:
    return torch.nn.LSTM(features, hidden, bidirectional=True)


def bidirectional_lstm(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; data is [steps, batch]. A second bias of the layer is zero."""
    rows, features = p["weight_ih_l0"].shape
    weights = {n: a for n, a in p.items() if n not in ("V", "c")}
    zero = torch.zeros(rows)
    weights |= {"bias_hh_l0": zero, "bias_hh_l0_reverse": zero}
    states, _ = functional_call(_lstm(features, rows // 4), weights, (data["x"],))
    return entropy(states, p, data)


LAYER = {  # names of the spec, and of the layer
    f"{direction}.{own}": f"{theirs}_l0{suffix}"
    for direction, suffix in (("forward", ""), ("backward", "_reverse"))
    for own, theirs in (("W", "weight_hh"), ("U", "weight_ih"), ("b", "bias_ih"))
}


def _gates_swapped(array: np.ndarray) -> np.ndarray:
    """Exchange the last two quarters of the rows: i, f, o, g and the layer's i, f, g, o."""
    i, f, o, g = np.split(array, 4)
    return np.concatenate([i, f, g, o])


def _renamed(names: dict[str, str], arrays: Named) -> Named:
    rest = {n: a for n, a in arrays.items() if n not in names}
    return {**rest, **{new: _gates_swapped(arrays[old]) for old, new in names.items()}}


BIDIRECTIONAL = Packing(
    lambda arrays: _renamed(LAYER, arrays),
    lambda arrays: _renamed({new: old for old, new in LAYER.items()}, arrays),
)


def rnn_2d(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; a step computes a diagonal of the grid (see `diagonals`)."""
    inside, weights = data["inside"], torch.cat([p["W"], p["Q"]], -1)
    own = data["x"] * p["u"] + p["b"]
    h = torch.zeros_like(own[0])
    for z, known in zip(own.unbind(0), inside.unbind(0), strict=True):
        above = F.pad(h[:, :-1], (0, 0, 1, 0))
        h = torch.tanh(z + F.linear(torch.cat([above, h], -1), weights)) * known
    return F.cross_entropy(F.linear(h[:, -1], p["V"], p["c"]), data["y"])


def diagonals(arrays: Named) -> Named:
    """Return a grid `x` [batch, rows, columns] by diagonals; each needs only the one before.

    Returns:
        x: [diagonals, batch, rows, 1], where row i of diagonal d is point (i, d-i), or zero.
        inside: [diagonals, rows, 1], 0 for points left of the grid, whose states are zero. Those
            right of it are computed, but no point of the grid reads them.
    """
    grid = arrays["x"]
    batch, rows, columns = grid.shape
    count = rows + columns - 1
    x = np.zeros((count, batch, rows, 1), grid.dtype)
    inside = np.zeros((count, rows, 1), grid.dtype)
    for i in range(rows):
        x[i : i + columns, :, i, 0] = grid[:, i].T
        inside[i:, i] = 1
    return {**arrays, "x": x, "inside": inside}


MODELS = {
    "lstm-layer-norm": Written(lstm_layer_norm, arrange=steps_first),
    "bidirectional-lstm": Written(
        bidirectional_lstm, BIDIRECTIONAL.pack, BIDIRECTIONAL.unpack, steps_first
    ),
    "rnn-2d": Written(rnn_2d, arrange=diagonals),
}
