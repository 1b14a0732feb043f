"""Which spec is a language model: its loss is the cross-entropy of some logits with the text's
target.

loss: mean[t](cross_entropy(y[t], target[t]))     logits y, 1 nat of loss = 1 nat per character
loss: sum[t](cross_entropy(y[t], target[t]))      the same over T characters
e[t]: cross_entropy(y[t], target[t])              also through named nodes
loss: mean[t](e[t])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from unfold.generation.feed import plain
from unfold.settings.data import LinesData, TextData
from unfold.spec.file.model import Spec
from unfold.spec.text.expression import Call, Expr, Reference, walk

IN_NATS = {"cross_entropy", "bce", "ctc"}
OF_OTHER_UNITS = {"mse"}


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


def language_model(spec: Spec, data: TextData | LinesData, extent: int) -> LanguageModel | None:
    """Return how a spec predicts the next symbol, or None where it does not (or not by name).

    Arguments:
        spec: the file as written.
        data: the text's settings.
        extent: steps per chunk, for losses that sum over them; lines are of unequal length.
    """
    equations = {e.targets[0].name: e.expression for e in spec.nodes if len(e.targets) == 1}
    expressions = [*equations.values(), *([spec.loss] if spec.loss else [])]
    for call in (c for e in expressions for c in walk(e) if _is_call(c, "cross_entropy")):
        logits, target = (plain(a) for a in call.arguments[:2])
        if logits is not None and target == data.target:
            steps = extent if isinstance(data, TextData) else None
            share = _nats_per_loss(spec.loss, call, equations, steps)
            return LanguageModel(data.input, data.target, logits, share)
    return None


def loss_unit(spec: Spec) -> str:
    """Return "nats" where the loss is made of log-probabilities alone, else nothing."""
    expressions = [e.expression for e in spec.nodes] + ([spec.loss] if spec.loss else [])
    called = {c.function for e in expressions for c in walk(e) if isinstance(c, Call)}
    return "nats" if called & IN_NATS and not called & OF_OTHER_UNITS else ""


def _nats_per_loss(
    loss: Expr | None, call: Call, equations: dict[str, Expr], steps: int | None
) -> float | None:
    """Return nats per symbol for one unit of the loss, where the loss is nothing but the call."""
    for name, factor in (("mean", 1.0), ("sum", 1.0 / steps if steps else None)):
        if loss is not None and _is_call(loss, name):
            inner: Expr | None = loss.arguments[0]
            if isinstance(inner, Reference):
                inner = equations.get(inner.name)
            if inner == call:
                return factor
    return None


def _is_call(piece: Expr, name: str) -> TypeGuard[Call]:
    return isinstance(piece, Call) and piece.function == name
