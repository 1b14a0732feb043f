"""min-char-rnn in NumPy, written from its equations, to compare the spec `min-char-rnn` with.

One step of the program, for T characters x and the ones after them y, from the state h(-1):

    h(t) = tanh(W_xh x(t) + W_hh h(t-1) + b_h)     x one-hot
    y(t) = W_hy h(t) + b_y                        p(t) = softmax(y(t))
    loss = - sum over t of log p(t)[target(t)]

then gradients by going backwards, cut to [-5, 5], and Adagrad:  m += g²,  p -= 0.1 g / √m, where
m is 1e-8 at first. Gradients come in two versions that differ in roundings only: `one_by_one` adds
up the steps' products, as the program does; `all_at_once` makes one product of all steps, which is
the order of the reference run. The state goes on from step to step; at the end of the text both
begin anew. Used by the tests and by `benchmarks/min_char_rnn.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
STEPS = 25
RATE, LIMIT, SMALL = 0.1, 5.0, 1e-8


def one_hot(code: int, size: int) -> Array:
    """Return a column [size, 1] with a one."""
    column = np.zeros((size, 1))
    column[code] = 1.0
    return column


Found = tuple[float, dict[str, Array], Array]


def one_by_one(weights: Mapping[str, Array], codes: Array, targets: Array, state: Array) -> Found:
    """Run forward and backward; biases and states are columns."""
    size, loss = len(weights["b_y"]), 0.0
    inputs, states, chances = [], [state], []
    for code, target in zip(codes, targets, strict=True):
        inputs.append(one_hot(code, size))
        before = weights["W_xh"] @ inputs[-1] + weights["W_hh"] @ states[-1] + weights["b_h"]
        states.append(np.tanh(before))
        scores = weights["W_hy"] @ states[-1] + weights["b_y"]
        powers = np.exp(scores)
        chances.append(powers / powers.sum())
        loss -= np.log(chances[-1][target, 0])
    gradients = {name: np.zeros_like(array) for name, array in weights.items()}
    coming = np.zeros_like(state)
    for t in reversed(range(len(codes))):
        scores = chances[t].copy()
        scores[targets[t]] -= 1.0
        gradients["W_hy"] += scores @ states[t + 1].T
        gradients["b_y"] += scores
        before = (1.0 - states[t + 1] ** 2) * (weights["W_hy"].T @ scores + coming)
        gradients["b_h"] += before
        gradients["W_xh"] += before @ inputs[t].T
        gradients["W_hh"] += before @ states[t].T
        coming = weights["W_hh"].T @ before
    for gradient in gradients.values():
        np.clip(gradient, -LIMIT, LIMIT, out=gradient)
    return loss, gradients, states[-1]


def all_at_once(weights: Mapping[str, Array], codes: Array, targets: Array, state: Array) -> Found:
    """Do the same with rows for the steps; a gradient is one product over all of them."""
    W_xh, W_hh, W_hy = (weights[name] for name in ("W_xh", "W_hh", "W_hy"))
    b_h, b_y = weights["b_h"][:, 0], weights["b_y"][:, 0]
    states, wrong, loss = [state[:, 0]], [], 0.0
    for code, target in zip(codes, targets, strict=True):
        states.append(np.tanh(W_xh[:, code] + W_hh @ states[-1] + b_h))
        scores = W_hy @ states[-1] + b_y
        powers = np.exp(scores - scores.max())
        loss -= scores[target] - scores.max() - np.log(powers.sum())
        wrong.append(powers * (1.0 / powers.sum()))
        wrong[-1][target] -= 1.0
    before, coming = [], np.zeros_like(state[:, 0])
    for h, scores in zip(states[:0:-1], wrong[::-1], strict=True):
        before.insert(0, (scores @ W_hy + coming) * (1.0 - h * h))
        coming = before[0] @ W_hh
    h, at_states, at_scores = np.array(states), np.array(before), np.array(wrong)
    gradients = {
        "W_xh": at_states.T @ np.eye(len(b_y))[codes],
        "W_hh": at_states.T @ h[:-1],
        "W_hy": at_scores.T @ h[1:],
        "b_h": at_states.sum(axis=0)[:, None],
        "b_y": at_scores.sum(axis=0)[:, None],
    }
    cut = {name: np.clip(gradient, -LIMIT, LIMIT) for name, gradient in gradients.items()}
    return loss, cut, h[-1][:, None]


class Program:
    """The program between two steps.

    Args:
        weights: W_xh [H, V], W_hh [H, H], W_hy [V, H], b_h [H], b_y [V]; they are copied.
        text: codes of the characters.
        rate: the learning rate.
        differentiate: `one_by_one` or `all_at_once`.

    Attributes:
        weights, sums: by name; biases are columns.
        state: of the hidden units, a column.
        smoothed: the loss that the program prints.
    """

    def __init__(
        self,
        weights: Mapping[str, Array],
        text: Array,
        rate: float = RATE,
        differentiate: Callable[..., Found] = one_by_one,
    ) -> None:
        self.weights = columns(weights)
        self.sums = {name: np.full_like(array, SMALL) for name, array in self.weights.items()}
        self._differentiate = differentiate
        self.state = np.zeros_like(self.weights["b_h"])
        self.smoothed = -np.log(1.0 / len(self.weights["b_y"])) * STEPS
        self._text, self._rate, self._place = text, rate, len(text)

    def step(self) -> float:
        """Take a step and return its loss."""
        if self._place + STEPS + 1 >= len(self._text):
            self._place, self.state = 0, np.zeros_like(self.state)
        place, self._place = self._place, self._place + STEPS
        codes, targets = (self._text[i : i + STEPS] for i in (place, place + 1))
        loss, gradients, self.state = self._differentiate(self.weights, codes, targets, self.state)
        self.smoothed = self.smoothed * 0.999 + loss * 0.001
        for name, gradient in gradients.items():
            self.sums[name] += gradient**2
            self.weights[name] -= self._rate * gradient / np.sqrt(self.sums[name])
        return loss


def columns(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies in which vectors are columns."""
    return {n: np.array(a.reshape(len(a), -1), np.float64) for n, a in arrays.items()}
