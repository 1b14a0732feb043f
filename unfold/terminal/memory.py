"""What a run says of its memory before it begins.

memory   1.3 MiB of 19.2 GiB for a step, in one run
"""

from __future__ import annotations

from unfold.core.bytes import show_size
from unfold.terminal.task import Task


def memory_of(task: Task, dtype: str) -> str | None:
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
