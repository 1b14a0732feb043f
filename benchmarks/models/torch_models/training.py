"""A training step of char-rnn: `nn.RNN` on one-hot vectors, `clip_grad_norm_`, `optim.Adam`.

The state is carried from chunk to chunk, without its gradient, and begins anew with the text.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.models.cases import CHUNKS, START, Arrays, Model, stepped
from benchmarks.peers.peer import Numbers, Prepared

NAMES = {  # of the layers, and of the spec
    "recurrent.weight_hh_l0": "W_hh",
    "recurrent.weight_ih_l0": "W_xh",
    "recurrent.bias_ih_l0": "b_h",
    "output.weight": "W_hy",
    "output.bias": "b_y",
}
MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}


class CharRNN(torch.nn.Module):
    """The network; the second bias of its recurrent layer is zero, and is not trained."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        hidden, self.vocab = arrays.parameters["W_xh"].shape
        self.recurrent = torch.nn.RNN(self.vocab, hidden)
        self.output = torch.nn.Linear(hidden, self.vocab)
        for name, parameter in self.named_parameters():
            own = arrays.parameters.get(NAMES.get(name, ""))
            parameter.requires_grad_(own is not None)
            parameter.data = torch.zeros_like(parameter) if own is None else torch.tensor(own)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits [steps, batch, vocab] and the last state."""
        states, state = self.recurrent(F.one_hot(x, self.vocab).float(), state)
        return self.output(states), state


class Training:
    """The network, its optimiser and the position in the text.

    Args:
        case: for the constants of its spec.
        arrays: of the first step.
    """

    def __init__(self, case: Model, arrays: Arrays) -> None:
        train = case.settings()
        self.network = CharRNN(arrays)
        named = dict(self.network.named_parameters())
        self.trained = {NAMES[n]: p for n, p in named.items() if n in NAMES}
        self.limit: float = train.clip.norm
        adam = train.optimizer
        betas = (adam.beta1, adam.beta2)
        self.optimizer = torch.optim.Adam(
            self.trained.values(), adam.rate, betas, adam.epsilon, fused=True
        )
        for name, parameter in self.trained.items():
            moments = {own: torch.tensor(arrays.moments[k][name]) for k, own in MOMENTS.items()}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(START)), **moments}
        texts = (torch.from_numpy(arrays.inputs[n].T.copy()) for n in ("x", "target"))
        self.chunks = list(zip(*(text.chunk(CHUNKS) for text in texts), strict=True))
        self.taken = START
        self.state: Tensor | None = None

    def step(self) -> Tensor:
        """Take a step; return the loss before it."""
        x, y = self.chunks[self.taken % CHUNKS]
        state = None if self.taken % CHUNKS == 0 else self.state
        logits, state = self.network(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.limit)
        self.optimizer.step()
        self.state = state.detach()
        self.taken += 1
        return loss

    def numbers(self) -> Numbers:
        """Take a step and return the numbers of it."""
        loss = self.step().item()
        state = self.optimizer.state
        moments = {
            k: {n: state[p][own].numpy() for n, p in self.trained.items()}
            for k, own in MOMENTS.items()
        }
        return stepped(loss, {n: p.detach().numpy() for n, p in self.trained.items()}, moments)


def prepare(case: Model, arrays: Arrays) -> Prepared:
    """Return a step, and the numbers of the first one."""
    return Prepared(Training(case, arrays).step, lambda _: Training(case, arrays).numbers())
