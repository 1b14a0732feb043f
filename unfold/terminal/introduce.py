"""What a run says before it begins: what the spec is, how large, what it reads and needs.

char-rnn  A character model
model   t=25 · vocab=103, hidden=100 · 30,903 parameters
data    ...
memory  1.3 MiB of 19.2 GiB for a step, in one run
"""

from __future__ import annotations

from unfold.core.bytes import show_size
from unfold.terminal.report import first_sentence, named, plural
from unfold.terminal.screen import paint
from unfold.terminal.task import Task
from unfold.terminal.teller import Teller
from unfold.terminal.train import guess


def introduce(task: Task, dtype: str, teller: Teller) -> None:
    """Say what the spec is, how large, and what it reads."""
    summary = task.model.summary()
    about = first_sentence(task.model.about)
    teller.say(f"{paint(task.model.name, bold=True)}  {about}".rstrip())
    facts = [named(summary["axes"]), named(summary["sizes"])]
    facts.append(plural(summary["parameter_count"], "parameter"))
    teller.fact("model", " · ".join(f for f in facts if f))
    if task.data is not None:
        told, loss = task.data.told, guess(task)
        if loss is not None and task.data.text is not None:
            symbols = len(task.data.text.vocabulary)
            told += f"; guessing costs {loss:.3f} (ln {symbols} per symbol)"
        teller.fact("data", told)
    if (told := _memory_of(task, dtype)) is not None:
        teller.fact("memory", told)


def _memory_of(task: Task, dtype: str) -> str | None:
    """Return how much a step needs and may take; None without data, or where it is all the same.

    Raises:
        UnsupportedError: the spec cannot be cut into the segments that are asked for.
    """
    if task.data is None or not task.model.backend(task.engine.backend).takes_parts:
        return None
    model, batch = task.model, task.data.train.batch(0)
    extents: dict[str, int] = {}
    count = 1
    for value in model.program.inputs:
        if value.name in batch.inputs:
            count, *points = batch.inputs[value.name].shape[: len(value.axes)]
            extents |= dict(zip(value.axes[1:], points, strict=True))
    if (cut := task.train.truncate) is not None:
        extents[cut.axis] = cut.back  # the first windows are shorter
    needed, how = model.needs(
        batch=count,
        dtype=dtype,
        mode=task.train.mode_at(0),
        state=task.train.carries and not batch.alone,
        backend=task.engine.backend,
        **extents,
    )
    return f"{show_size(needed)} of {show_size(model.memory.limit)} for a step, in {how}"
