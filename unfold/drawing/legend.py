"""The content of the legend: an entry per drawn line, and notes on all other parameters.

In: a scheme, and the parameters that colour edges. Out: `LegendEntry`s. A parameter that an
equation adds, or that shares its edge with another one, has no line of its own; a note names the
box that reads it, so that every picture shows every parameter of the equations.

    h[t]: tanh(W @ h[t-1] + b)     ──▶ W      b in h
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from unfold.drawing.boxes import Box
from unfold.drawing.labels import label
from unfold.drawing.palette import Styles
from unfold.drawing.scheme import Scheme
from unfold.drawing.sketch import LegendEntry

LONGEST = 60
MOST_NAMES = 3


def drawn_entries(
    scheme: Scheme, styles: Styles, used: Mapping[str, tuple[str, tuple[int, ...]]]
) -> Iterator[LegendEntry]:
    """Yield an entry for each parameter that colours an edge.

    Args:
        scheme: of the picture.
        styles: the lines of parameters.
        used: name and index of the parameters, by what edges call them.
    """
    for key, (name, index) in used.items():
        tip = f"{key}: {scheme.program[name].type.show()}"
        yield LegendEntry(text=key, key=key, style=styles.of(name, index), tooltip=(tip,))


def notes(scheme: Scheme, shown: Collection[str]) -> Iterator[LegendEntry]:
    """Yield notes on the parameters that are read and not shown otherwise."""
    readers: dict[tuple[str, ...], list[Box]] = {}
    for box in scheme.boxes.values():
        own = tuple(p for p in box.parameters if p not in shown)
        if own:
            readers.setdefault(own, []).append(box)
    for parameters, boxes in readers.items():
        where = ", ".join(label(box.label, {}) if box.indexed else box.name for box in boxes)
        for some in _lines([_text(scheme, p, boxes[0].reader) for p in parameters]):
            yield LegendEntry(text=f"{some} in {where}")


def short(parameter: str, reader: str) -> str:
    """Leave out the name of the cell if a parameter belongs to the reading cell."""
    cell = reader.rpartition(".")[0]
    return parameter.removeprefix(f"{reader}.").removeprefix(f"{cell}." if cell else "")


def words(parameters: Collection[str], reader: str) -> str:
    """Return the words beside an edge: its parameters, if they are few."""
    few = len(parameters) <= MOST_NAMES
    return ", ".join(short(p, reader) for p in parameters) if few else ""


def _text(scheme: Scheme, parameter: str, reader: str) -> str:
    axes = scheme.program[parameter].axes
    return short(parameter, reader) + (f"[{','.join(axes)}]" if axes else "")


def _lines(texts: Collection[str]) -> Iterator[str]:
    """Join texts into lines of limited length."""
    line = ""
    for text in texts:
        if line and len(line) + len(text) > LONGEST:
            yield line
            line = ""
        line += f", {text}" if line else text
    yield line
