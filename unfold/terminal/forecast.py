"""Numbers that go on from numbers: the last steps of the data, or an array of the user's.

    sequence,step,sunspots
    1,1,8.13

Numbers are printed on the scale of the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unfold.errors import UnfoldError
from unfold.generation import Wish
from unfold.generation.machine import Machine
from unfold.generation.picture import Format, draw_numbers
from unfold.settings.generate import GenerateSettings
from unfold.terminal.trained import Result, Trained, WrittenSequence, context_of, read_inputs
from unfold.terminal.writing import decoding

Array = np.ndarray


def forecast(
    trained: Trained, machine: Machine, settings: GenerateSettings, file: str | None
) -> Result:
    """Write numbers.

    Arguments:
        trained: the model.
        machine: it, ready to write.
        settings: the section `generate`.
        file: of arrays to go on from; default: the last sequences of the data.

    Raises:
        UnfoldError: a prompt of text, or nothing to go on from.
    """
    teacher = machine.loop.teacher
    if settings.prompt:
        raise UnfoldError(
            f"{trained.model.name} generates numbers, so a text cannot be its prompt\n"
            f"  help: drop --prompt, or put an array {teacher} into  --inputs numbers.npz"
        )
    columns, subtract, divide = _scale(trained, machine)
    lengths: dict[str, Any] = {}
    if file is not None:
        inputs = read_inputs(file, machine)
    else:
        inputs, lengths = next(context_of(trained, machine, settings.number, last=True))
    begun = inputs.get(teacher) if machine.needs_start or file is not None else None
    if file is not None and begun is not None and len(columns) == begun.shape[-1]:
        begun = (begun - subtract) / divide
    wish = Wish(
        {n: a for n, a in inputs.items() if n in machine.context},
        prompt=begun,
        length=settings.length,
        decoding=decoding(settings, drawn=False),
        seed=settings.seed,
        lengths=lengths,
    )
    written = trained.model.writer.write(trained.params, wish, backend=trained.backend)

    def unscaled(values: Array) -> Array:
        return values.reshape(len(values), len(columns)) * divide + subtract

    tables = [unscaled(written[row]) for row in range(len(written))]
    given = None if begun is None else unscaled(np.asarray(begun)[-1])

    def draw(format: Format) -> bytes:
        title = f"{trained.model.name}: {len(tables[-1])} steps generated"
        return draw_numbers(title, columns, given, tables[-1], format=format)

    return Result(
        [WrittenSequence(t, "", {}) for t in tables], _csv(columns, tables), False, columns, draw
    )


def _scale(trained: Trained, machine: Machine) -> tuple[tuple[str, ...], Array, Array]:
    """Return the columns of the output, what was subtracted, and divided by."""
    teacher = machine.loop.teacher
    columns, subtract, divide = trained.scale(teacher)
    width = int(np.prod([int(n) for n in machine.loop_type.stored], initial=1))
    if len(columns) == width:
        return tuple(columns), subtract, divide
    names = (teacher,) if width == 1 else tuple(f"{teacher}.{i}" for i in range(width))
    return names, np.zeros(width), np.ones(width)


def _csv(columns: tuple[str, ...], tables: list[Array]) -> str:
    rows = [",".join(("sequence", "step", *columns))]
    for number, table in enumerate(tables, start=1):
        for step, values in enumerate(table, start=1):
            rows.append(",".join((str(number), str(step), *(f"{x:.6g}" for x in values))))
    return "".join(f"{row}\n" for row in rows)
