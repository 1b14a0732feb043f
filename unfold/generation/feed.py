"""The next input of a spec without feedback, inferred from its data and its loss.

    data: {text: …, input: x, target: y}       y is x one step later
    loss: mean[t](cross_entropy(o[t], y[t]))   o predicts y            so x[t] can be fed by o[t-1]

The same holds for lines, for tasks whose columns are `symbol` and `next`, and for a series whose
targets are its inputs one step ahead. All other specs must declare it: `generate: {feed: {x: o}}`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unfold.settings.data import LinesData, SeriesData, TaskData, TextData
from unfold.settings.generate import read_generate
from unfold.spec.file.model import Spec
from unfold.spec.text.expression import Call, Expr, Reference, walk
from unfold.training.data import read_data

JUDGES = ("cross_entropy", "mse")


def feed_of(spec: Spec) -> dict[str, str]:
    """Return the feed declared in `generate`, or the one inferred from data and loss."""
    said = read_generate(spec.generate).feed if spec.generate is not None else {}
    return said or find_feed(spec)


def find_feed(spec: Spec) -> dict[str, str]:
    """Return, by input, the value that it reads a step later; nothing if that is not known."""
    for reads, target in _followers(spec):
        expressions = [e.expression for e in spec.nodes] + ([spec.loss] if spec.loss else [])
        for call in (p for e in expressions for p in walk(e)):
            if isinstance(call, Call) and call.function in JUDGES and len(call.arguments) == 2:
                said, wanted = map(plain, call.arguments)
                if said is not None and wanted == target:
                    return {reads: said}
    return {}


def _followers(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield inputs, and the inputs that hold the same one step later."""
    data = read_data(spec.data) if spec.data is not None else None
    if isinstance(data, TextData | LinesData):
        yield data.input, data.target
    elif isinstance(data, TaskData):
        columns = {data.inputs.get(n, n): n for n in (i.target.name for i in spec.inputs)}
        if {"symbol", "next"} <= set(columns):
            yield columns["symbol"], columns["next"]
    elif isinstance(data, SeriesData) and data.ahead == 1:
        for reads, columns in data.inputs.items():
            yield from ((reads, t) for t, wanted in data.targets.items() if wanted == columns)


def plain(piece: Expr) -> str | None:
    """Return the name of `name[t]`, or None for anything else."""
    if isinstance(piece, Reference) and piece.indices is not None and len(piece.indices) == 1:
        index = piece.indices[0]
        if isinstance(index, Reference) and index.indices is None:
            return None if index.name in ("first", "last") else piece.name
    return None
