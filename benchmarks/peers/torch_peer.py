"""PyTorch: the layers of `torch.nn`, and eager loops over the same equations.

The layers take their inputs as one-hot vectors, made from the integers in every run, for there is
no other way to give them integers; loops pick rows (`F.embedding`) once before the loop. Styles:

    library   nn.RNN, nn.LSTM, nn.GRU; a second bias of theirs is zero, and is not asked for but
              in nn.GRU's candidate, where it is the spec's c_n
    loop      one step after the other, products packed
    compile   `torch.compile` of that loop, unrolled, up to 50 steps; above, of its step alone (the
              compiler needs about a second per unrolled step)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.cases import CLASSES, Case
from benchmarks.peers.packing import pack, unpack
from benchmarks.peers.peer import Numbers, Peer, Prepared

Tensors = dict[str, Tensor]
Step = Callable[[Tensor, Tensor, Tensor, Tensors], tuple[Tensor, Tensor]]
UNROLLED = 50


class TorchPeer(Peer[Case]):
    """PyTorch in one of its styles."""

    def __init__(self, style: str) -> None:
        self.style = style

    def prepare(self, case: Case) -> Prepared:
        """Make the parameters; data is kept [steps, batch], which the layers like best."""
        x, y = (torch.from_numpy(np.ascontiguousarray(a.T)) for a in case.data())
        if self.style == "library":
            return _library(case, x, y)
        return _loop(case, x, y, compiled=self.style == "compile")

    def versions(self) -> Mapping[str, str]:
        """Return PyTorch's version."""
        return {"torch": torch.__version__}


def make(style: str) -> Peer[Case]:
    """Return PyTorch in a style, with as many threads as OMP_NUM_THREADS says."""
    return TorchPeer(style)


def _library(case: Case, x: Tensor, y: Tensor) -> Prepared:
    hidden = case.shape.hidden
    kinds = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer, output = kinds[case.cell.name](CLASSES, hidden), torch.nn.Linear(hidden, CLASSES)
    own = {n: torch.from_numpy(p) for n, p in pack(case, case.parameters()).items()}
    order = _gate_order(case, hidden)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(own["Wx"].T[order])
        layer.weight_hh_l0.copy_(own["Wh"].T[order])
        layer.bias_ih_l0.copy_(own["b"][order])
        layer.bias_hh_l0.zero_()
        if "bh" in own:
            layer.bias_hh_l0[2 * hidden :] = own["bh"]
        output.weight.copy_(own["Vo"].T)
        output.bias.copy_(own["c"])
    parameters = [*layer.parameters(), *output.parameters()]

    def run() -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        h, _ = layer(F.one_hot(x, CLASSES).float())
        loss = F.cross_entropy(output(h).flatten(0, 1), y.flatten())
        loss.backward()
        return loss

    def read(loss: Tensor) -> Numbers:
        back = torch.argsort(order)
        wide = {
            "Wx": _gradient(layer.weight_ih_l0)[back].T,
            "Wh": _gradient(layer.weight_hh_l0)[back].T,
            "b": _gradient(layer.bias_ih_l0)[back],
            "bh": _gradient(layer.bias_hh_l0)[2 * hidden :],
            "Vo": _gradient(output.weight).T,
            "c": _gradient(output.bias),
        }
        return loss.item(), unpack(case, {n: g.numpy() for n, g in wide.items()})

    return Prepared(run, read)


def _gate_order(case: Case, hidden: int) -> Tensor:
    """Return which rows of the spec's weights the layer's rows are: its LSTM has i, f, g, o."""
    blocks = {"rnn": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}[case.cell.name]
    return torch.cat([torch.arange(hidden) + block * hidden for block in blocks])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _loop(case: Case, x: Tensor, y: Tensor, *, compiled: bool) -> Prepared:
    own = pack(case, case.parameters())
    parameters = {n: torch.from_numpy(p).requires_grad_() for n, p in own.items()}
    whole = compiled and case.shape.steps <= UNROLLED
    step = STEPS[case.cell.name]
    if compiled and not whole:
        step = torch.compile(step)
    zeros = torch.zeros(case.shape.batch, case.shape.hidden)

    def forward(p: Tensors, x: Tensor, y: Tensor) -> Tensor:
        h, s = zeros, zeros
        hs = []
        for z in _projected(case, p, x).unbind(0):
            h, s = step(z, h, s, p)
            hs.append(h)
        logits = torch.stack(hs) @ p["Vo"] + p["c"]
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    compute = torch.compile(forward) if whole else forward

    def run() -> Tensor:
        for parameter in parameters.values():
            parameter.grad = None
        loss = compute(parameters, x, y)
        loss.backward()
        return loss

    def read(loss: Tensor) -> Numbers:
        return loss.item(), unpack(case, {n: _gradient(p).numpy() for n, p in parameters.items()})

    return Prepared(run, read)


def _projected(case: Case, p: Tensors, x: Tensor) -> Tensor:
    """Return what the inputs contribute to every step, [steps, batch, gates * H]."""
    picked = F.embedding(x, p["Wx"])
    if case.cell.name != "mut1":
        return picked + p["b"]
    hidden = case.shape.hidden
    reset, update = (picked[..., : 2 * hidden] + p["b"]).chunk(2, -1)
    candidate = torch.tanh(picked[..., 2 * hidden :]) + p["bh"]
    return torch.cat([reset, torch.sigmoid(update), candidate], -1)


def _rnn(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    return torch.tanh(z + h @ p["Wh"]), s


def _lstm(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    i, f, o, g = (z + h @ p["Wh"]).chunk(4, -1)
    s = torch.sigmoid(f) * s + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(s), s


def _lstm_peephole(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    i, f, o, g = (z + h @ p["Wh"]).chunk(4, -1)
    new = torch.sigmoid(f + p["pf"] * s) * s + torch.sigmoid(i + p["pi"] * s) * torch.tanh(g)
    return torch.sigmoid(o + p["po"] * new) * torch.tanh(new), new


def _gru(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    hidden = h.shape[-1]
    product = h @ p["Wh"]
    r, u = torch.sigmoid(z[:, : 2 * hidden] + product[:, : 2 * hidden]).chunk(2, -1)
    n = torch.tanh(z[:, 2 * hidden :] + r * (product[:, 2 * hidden :] + p["bh"]))
    return n + u * (h - n), s


def _gru_cho(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    hidden = h.shape[-1]
    r, u = torch.sigmoid(z[:, : 2 * hidden] + h @ p["Wh"]).chunk(2, -1)
    g = torch.tanh(z[:, 2 * hidden :] + (r * h) @ p["Wg"])
    return g + u * (h - g), s


def _mut1(z: Tensor, h: Tensor, s: Tensor, p: Tensors) -> tuple[Tensor, Tensor]:
    reset, update, candidate = z.chunk(3, -1)
    r = torch.sigmoid(reset + h @ p["Wh"])
    g = torch.tanh(candidate + (r * h) @ p["Wg"])
    return h + update * (g - h), s


STEPS: Mapping[str, Step] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "lstm-peephole": _lstm_peephole,
    "gru": _gru,
    "gru-cho": _gru_cho,
    "mut1": _mut1,
}
