"""A training step of char-rnn: a loop, `clip_grad_norm_` and `optim.Adam`.

The state is carried from chunk to chunk, without its gradient, and begins anew with the text.
`nn.RNN` on one-hot vectors took an eighth longer than the loop.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.models.cases import CHUNKS, START, Arrays, Model, Named, stepped
from benchmarks.models.packing import moved
from benchmarks.models.torch_peer import tensors
from benchmarks.peers.peer import Numbers, Prepared

Tensors = dict[str, Tensor]
LAYOUT = moved((1, 0), "W_xh")
MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}


def forward(p: Tensors, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [steps, batch, vocab] and the last state; `W_xh` is [vocab, hidden]."""
    found: list[Tensor] = []
    recurrent = p["W_hh"].T
    for own in (F.embedding(x, p["W_xh"]) + p["b_h"]).unbind(0):
        h = torch.tanh(torch.addmm(own, h, recurrent))
        found.append(h)
    return F.linear(torch.stack(found), p["W_hy"], p["b_y"]), h


class Training:
    """The parameters, their optimiser and the position in the text.

    Args:
        case: for the constants of its spec.
        arrays: of the first step.
    """

    def __init__(self, case: Model, arrays: Arrays) -> None:
        settings: Any = case.settings()
        self.limit: float = settings.clip.norm
        self.parameters = tensors(LAYOUT.pack(arrays.parameters))
        adam = settings.optimizer
        betas = (adam.beta1, adam.beta2)
        self.optimizer = torch.optim.Adam(
            self.parameters.values(), adam.rate, betas, adam.epsilon, fused=True
        )
        kept = {own: tensors(LAYOUT.pack(arrays.moments[k])) for k, own in MOMENTS.items()}
        for name, parameter in self.parameters.items():
            parameter.requires_grad_()
            moments = {own: of[name] for own, of in kept.items()}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(START)), **moments}
        texts = (torch.from_numpy(arrays.inputs[n].T.copy()) for n in ("x", "target"))
        self.chunks = list(zip(*(text.chunk(CHUNKS) for text in texts), strict=True))
        self.zeros = torch.zeros(len(arrays.inputs["x"]), len(self.parameters["W_hh"]))
        self.state, self.taken = self.zeros, START

    def step(self) -> Tensor:
        """Take a step; return the loss before it."""
        chunk = self.taken % CHUNKS
        x, y = self.chunks[chunk]
        logits, state = forward(self.parameters, x, self.state if chunk else self.zeros)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.limit)
        self.optimizer.step()
        self.state = state.detach()
        self.taken += 1
        return loss

    def numbers(self) -> Numbers:
        """Take a step and return the numbers of it."""
        loss = self.step().item()
        state = self.optimizer.state

        def unpacked(arrays: Tensors) -> Named:
            return LAYOUT.unpack({n: a.detach().numpy() for n, a in arrays.items()})

        moments = {
            k: unpacked({n: state[p][own] for n, p in self.parameters.items()})
            for k, own in MOMENTS.items()
        }
        return stepped(loss, unpacked(self.parameters), moments)


def prepare(case: Model, arrays: Arrays) -> Prepared:
    """Return a step, and the numbers of the first one."""
    return Prepared(Training(case, arrays).step, lambda _: Training(case, arrays).numbers())
