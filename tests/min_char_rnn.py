"""min-char-rnn in NumPy, written from its equations, to compare the spec `min-char-rnn` with.

One step of the program, for T characters x and the ones after them y, from the state h(-1):

    h(t) = tanh(W_xh x(t) + W_hh h(t-1) + b_h)     x one-hot
    y(t) = W_hy h(t) + b_y                        p(t) = softmax(y(t))
    loss = - sum over t of log p(t)[target(t)]

then gradients by going backwards, cut to [-5, 5], and Adagrad:  m += g²,  p -= 0.1 g / √m, where
m is 1e-8 at first. The state goes on from step to step; at the end of the text it begins anew.
Used by the tests and by `benchmarks/min_char_rnn.py`.
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
Rounding = Callable[[Array], Array]


def exactly(array: Array) -> Array:
    """Return what was computed as it is."""
    return array


def differentiate(
    weights: Mapping[str, Array],
    codes: Array,
    targets: Array,
    state: Array,
    rounded: Rounding = exactly,
) -> Found:
    """Run forward and backward; biases and states are columns, and each result is `rounded`."""
    size, loss = len(weights["b_y"]), 0.0
    inputs, states, chances = [], [state], []
    for code, target in zip(codes, targets, strict=True):
        inputs.append(one_hot(code, size))
        before = weights["W_xh"] @ inputs[-1] + weights["W_hh"] @ states[-1] + weights["b_h"]
        states.append(rounded(np.tanh(rounded(before))))
        scores = rounded(weights["W_hy"] @ states[-1] + weights["b_y"])
        powers = np.exp(scores)
        chances.append(rounded(powers / powers.sum()))
        loss -= np.log(chances[-1][target, 0])
    gradients = {name: np.zeros_like(array) for name, array in weights.items()}
    coming = np.zeros_like(state)
    for t in reversed(range(len(codes))):
        scores = chances[t].copy()
        scores[targets[t]] -= 1.0
        gradients["W_hy"] += scores @ states[t + 1].T
        gradients["b_y"] += scores
        before = rounded((1.0 - states[t + 1] ** 2) * (weights["W_hy"].T @ scores + coming))
        gradients["b_h"] += before
        gradients["W_xh"] += before @ inputs[t].T
        gradients["W_hh"] += before @ states[t].T
        coming = rounded(weights["W_hh"].T @ before)
    for gradient in gradients.values():
        np.clip(gradient, -LIMIT, LIMIT, out=gradient)
    return loss, gradients, states[-1]


class Program:
    """The program between two steps.

    Args:
        weights: W_xh [H, V], W_hh [H, H], W_hy [V, H], b_h [H], b_y [V]; they are copied.
        text: codes of the characters.
        rate: the learning rate.
        rounded: what becomes of each result of `differentiate`.

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
        rounded: Rounding = exactly,
    ) -> None:
        self.weights = columns(weights)
        self.sums = {name: np.full_like(array, SMALL) for name, array in self.weights.items()}
        self.rounded = rounded
        self.state = np.zeros_like(self.weights["b_h"])
        self.smoothed = -np.log(1.0 / len(self.weights["b_y"])) * STEPS
        self._text, self._rate, self._place = text, rate, len(text)

    def step(self) -> float:
        """Take a step and return its loss."""
        if self._place + STEPS + 1 >= len(self._text):
            self._place, self.state = 0, np.zeros_like(self.state)
        place, self._place = self._place, self._place + STEPS
        codes, targets = (self._text[i : i + STEPS] for i in (place, place + 1))
        loss, gradients, self.state = differentiate(
            self.weights, codes, targets, self.state, self.rounded
        )
        self.smoothed = self.smoothed * 0.999 + loss * 0.001
        for name, gradient in gradients.items():
            self.sums[name] += gradient**2
            self.weights[name] -= self._rate * gradient / np.sqrt(self.sums[name])
        return loss


def columns(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies in which vectors are columns."""
    return {n: np.array(a.reshape(len(a), -1), np.float64) for n, a in arrays.items()}
