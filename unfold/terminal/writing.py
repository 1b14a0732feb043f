"""From the section `generate` to a wish, and from symbols to text: what `run` and `generate` share.

text      prompt "The "   →  T h e ␣              after it, what follows
lines     prompt "an"     →  ⏎ a n                a line ends with ⏎, which is not shown
no prompt                 →  the start of a line, which is not shown either
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.generation import Alphabet, Decoding, Wish
from unfold.settings.generate import GenerateSettings
from unfold.terminal.task import Task

if TYPE_CHECKING:
    import unfold

TEXT_LENGTH = 300


def decoding(settings: GenerateSettings, *, drawn: bool) -> Decoding:
    """Return how symbols are chosen.

    Arguments:
        settings: the section.
        drawn: whether they are drawn where nothing is said, as in a text.
    """
    warm = settings.temperature
    if warm is None and drawn and settings.beam is None:
        warm = 1.0
    return Decoding(
        None if settings.beam else warm,
        settings.top_k,
        settings.top_p,
        settings.beam,
        settings.length_penalty,
    )


def text_wish(
    settings: GenerateSettings,
    alphabet: Alphabet,
    model: unfold.Model,
    *,
    lines: bool,
    feed: Mapping[str, str] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Wish:
    """Return what is to be written of a text.

    Arguments:
        settings: the section.
        alphabet: of the training data.
        model: that writes.
        lines: whether every line is a sequence of its own.
        feed: which input reads which output; default: what the spec says.
        inputs: a context, by name.

    Raises:
        DataError: a prompt with an unknown character.
    """
    machine = model.writer.machine(feed)
    begun = [alphabet.start] if lines or (machine.needs_start and not settings.prompt) else []
    prompt = [*begun, *alphabet.encode(settings.prompt)]
    bounded = machine.at_most is not None or machine.room(inputs or {}) is not None
    length = settings.length or (None if bounded else TEXT_LENGTH)
    return Wish(
        inputs=inputs or {},
        prompt=np.array(prompt, np.int64) if prompt else None,
        length=length,
        number=settings.number,
        end=alphabet.start if lines else None,
        decoding=decoding(settings, drawn=machine.needs_start),
        seed=settings.seed,
        feed=feed,
    )


def sample(task: Task, parameters: Mapping[str, Any]) -> str | None:
    """Return what a trained language model writes, its prompt included; None for other specs."""
    text = task.data.text if task.data else None
    if task.language is None or text is None:
        return None
    alphabet = Alphabet.of(text.vocabulary, text.level)
    has_feedback = bool(task.model.program.feedbacks)
    feed = {} if has_feedback else {task.language.input: task.language.logits}
    lines = bool(task.model.spec.data and "lines" in task.model.spec.data.tree)
    wish = text_wish(
        task.generate, alphabet, task.model, lines=lines, feed=task.generate.feed or feed
    )
    written = task.model.writer.write(parameters, wish, backend=task.engine.backend)
    rows = [alphabet.decode(written[row]).removesuffix("\n" * lines) for row in range(len(written))]
    return "\n".join(task.generate.prompt + row for row in rows)
