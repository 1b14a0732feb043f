"""Text from a trained language model: draw a character, feed it back, carry the state on.

The model is run one step at a time with the state of the step before, so it needs no other graph
than the one it was trained with, and a sample may be longer than any training chunk.

    logits[t] / temperature  →  softmax  →  draw a symbol  →  x[t+1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unfold.training.data.text import Text
from unfold.training.settings import GenerateSettings

Array = np.ndarray
Arrays = dict[str, Array]


class Run(Protocol):
    """What is read from a forward run: any node by name, and the state after the last step."""

    @property
    def carry(self) -> Arrays:
        """The recurrent state."""
        ...

    def __getitem__(self, name: str) -> Array: ...


class Forward(Protocol):
    """What sampling needs of a model."""

    def forward(self, params: Arrays, inputs: Arrays, *, carry: Arrays | None = None) -> Run:
        """Run forward over a chunk."""
        ...


@dataclass(frozen=True)
class LanguageModel:
    """Which inputs and which node of a spec make it a language model.

    Attributes:
        input: the category input that is read.
        target: the category input that is predicted.
        logits: the node with a score for every category of the next symbol.
        nats_per_loss: what the loss is multiplied with to give nats per symbol (1 for a mean,
            1/T for a sum over T steps), or None where the loss holds something else too.
    """

    input: str
    target: str
    logits: str
    nats_per_loss: float | None


def sample_text(
    model: Forward,
    parameters: Arrays,
    language: LanguageModel,
    text: Text,
    settings: GenerateSettings,
) -> str:
    """Return the prime and `settings.length` further characters.

    Raises:
        DataError: for a prime with a character that is not in the training text.
    """
    generator = np.random.default_rng(settings.seed)
    codes = text.encode(settings.prime) if settings.prime else text.codes[:1]
    written, carry = list(codes), None
    for _ in range(settings.length):
        inputs = {language.input: codes[None, :], language.target: np.zeros_like(codes)[None, :]}
        run = model.forward(parameters, inputs, carry=carry)
        logits = np.asarray(run[language.logits])[0, -1, : len(text.vocabulary)]
        codes = np.array([_draw(logits / settings.temperature, generator)])
        written.append(codes[0])
        carry = run.carry
    return text.decode(np.array(written))


def _draw(logits: Array, generator: np.random.Generator) -> int:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return int(generator.choice(len(weights), p=weights / weights.sum()))
