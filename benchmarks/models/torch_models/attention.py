"""Attention: `scaled_dot_product_attention`, and a decoder that attends in a loop."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks.models.cases import Written
from benchmarks.models.packing import both, joined, moved, steps_first

Tensors = dict[str, Tensor]


def self_attention(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; one product makes queries, keys and values."""
    q, k, v = F.linear(data["x"], p["QKV"])[:, None].chunk(3, -1)
    return F.scaled_dot_product_attention(q, k, v).square().mean()


def looped_transformer(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; `E` is [vocab, width]."""
    u = F.embedding(data["x"], p["E"]) + p["P"]
    width = u.shape[-1:]
    for r in range(len(p["L"])):
        u = u + p["L"][r]
        for k in range(len(p["QKV"])):
            q, key, v = F.linear(F.layer_norm(u, width), p["QKV"][k])[:, None].chunk(3, -1)
            read = F.scaled_dot_product_attention(q, key, v, is_causal=True)[:, 0]
            u = u + F.linear(read, p["O"][k])
            inner = F.gelu(F.linear(F.layer_norm(u, width), p["A"][k]))
            u = u + F.linear(inner, p["B"][k])
    logits = F.linear(u, p["E"])
    return F.cross_entropy(logits.flatten(0, 1), data["y"].flatten())


@lru_cache
def _encoder(features: int, hidden: int) -> torch.nn.RNN:
    return torch.nn.RNN(features, hidden)


def encoder_decoder(p: Tensors, data: Tensors) -> Tensor:
    """Return the loss; data is [steps, batch]. The decoder starts with no symbol."""
    hidden, source = p["U"].shape
    weights = {"weight_hh_l0": p["W"], "weight_ih_l0": p["U"], "bias_ih_l0": p["b"]}
    weights["bias_hh_l0"] = torch.zeros(hidden)
    words = F.one_hot(data["x"], source).float()
    states, _ = functional_call(_encoder(source, hidden), weights, (words,))
    states = states.transpose(0, 1)  # [batch, source, encoder]
    keys = F.linear(states, p["B"])
    previous = F.pad(F.embedding(data["y"][:-1], p["R"]), (0, 0, 0, 0, 1, 0)) + p["b_d"]
    d = torch.zeros_like(previous[0])
    step = torch.cat([p["W_d"], p["K"]], -1)
    found: list[Tensor] = []
    for own in previous.unbind(0):
        scores = torch.tanh(F.linear(d, p["A"])[:, None] + keys) @ p["v"]
        read = torch.bmm(torch.softmax(scores, -1)[:, None], states)[:, 0]
        d = torch.tanh(own + F.linear(torch.cat([d, read], -1), step))
        found.append(d)
    logits = F.linear(torch.stack(found), p["V"], p["b_o"])
    return F.cross_entropy(logits.flatten(0, 1), data["y"].flatten())


PROJECTIONS = joined("QKV", "Q", "K", "V")
LOOPED = both(PROJECTIONS, moved((1, 0), "E"))
DECODER = moved((1, 0), "R")
MODELS = {
    "self-attention": Written(self_attention, PROJECTIONS.pack, PROJECTIONS.unpack),
    "looped-transformer": Written(looped_transformer, LOOPED.pack, LOOPED.unpack),
    "encoder-decoder": Written(encoder_decoder, DECODER.pack, DECODER.unpack, steps_first),
}
