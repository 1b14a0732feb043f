"""What `unfold analyze` is about: a model, its parameters, sequences of its data, and inputs.

subject = open_subject("runs/two-unit-srn-1", None, None, seed=0)
for inputs, title in conditions(subject, flow, ["x=1"]): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.errors import DataError, UnfoldError
from unfold.generation import Alphabet
from unfold.terminal.loading import yaml_value
from unfold.terminal.run_folders import is_run_folder
from unfold.terminal.task import Task, prepare
from unfold.terminal.trained import open_trained

if TYPE_CHECKING:
    import unfold
    from unfold import analysis

Array = np.ndarray
SEQUENCES, MOST_CLASSES = 16, 6


@dataclass(frozen=True)
class Subject:
    """What is analyzed.

    Attributes:
        model: the spec.
        params: its parameters.
        inputs, lengths: sequences of its data.
        vocabularies: symbols by input, where the data name them.
        told: what parameters these are, in words.
        task: the spec with its settings and data.
        folder: of the run, if it is one.
    """

    model: unfold.Model
    params: Mapping[str, Any]
    inputs: Mapping[str, Array]
    lengths: Mapping[str, Array]
    vocabularies: Mapping[str, Any]
    told: str
    task: Task
    folder: Path | None


def open_subject(name: str, changes: list[str] | None, mode: str | None, seed: int) -> Subject:
    """Return the model, its parameters, and sequences of its data, or random ones."""
    folder = Path(name) if is_run_folder(name) else None
    spec = str(folder / "spec.yaml") if folder else name
    task = prepare(spec, changes, None, "float64", mode)
    params, told = task.model.init(seed=seed), f"fresh parameters, seed {seed}"
    if folder:
        trained = open_trained(name)
        params, told = dict(trained.params), f"parameters after step {trained.step:,}"
    if task.data is None:
        from unfold.training.data import random_inputs

        inputs = random_inputs(task.model.program, batch=SEQUENCES, seed=seed)
        told += "; random inputs"
        return Subject(task.model, params, inputs, {}, {}, told, task, folder)
    batch = (task.data.validation or task.data.train).batch(0)
    return Subject(
        task.model,
        params,
        {n: a[:SEQUENCES] for n, a in batch.inputs.items()},
        {a: n[:SEQUENCES] for a, n in batch.lengths.items()},
        dict(task.data.facts.get("vocabularies", {})),  # pyright: ignore
        told,
        task,
        folder,
    )


def conditions(
    subject: Subject, flow: analysis.StateMap, items: list[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the inputs of each panel, and its title: every combination of what was asked for.

    Without a word, a step that reads a class is looked at with each of its classes, if few.
    """
    program = flow.how.forward
    names = [v.name for v in program.inputs if v.name in subject.model.program.values]
    values: dict[str, list[tuple[Any, str]]] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or name not in names:
            known = ", ".join(names) or "none"
            raise UnfoldError(f"--input {item}: expected NAME=VALUE; a step reads {known}")
        value = _value(subject, name, item, text)
        values.setdefault(name, []).append((value, f"{name} = {text.strip()}"))
    if not items:
        classes = [n for n in names if program[n].type.kind == "category"]
        count = int(program[classes[0]].type.shape[0]) if len(classes) == 1 else 0
        if 0 < count <= MOST_CLASSES:
            symbols = subject.vocabularies.get(classes[0]) or [str(i) for i in range(count)]
            values[classes[0]] = [(i, f"{classes[0]} = {symbols[i]}") for i in range(count)]
    for chosen in product(*values.values()):
        given = {n: v for n, (v, _) in zip(values, chosen, strict=True)}
        rest = [n for n in names if n not in given]
        titles = [title for _, title in chosen] + ([f"{', '.join(rest)} = 0"] if rest else [])
        yield given, "; ".join(titles) or "no input"


def _value(subject: Subject, name: str, item: str, text: str) -> Any:
    """Read a number, a list of them, or a symbol of the data."""
    symbols = subject.vocabularies.get(name)
    if symbols is not None and text in symbols:
        try:
            return int(Alphabet.of(symbols).encode(text)[0])
        except DataError as error:
            raise UnfoldError(f"--input {item}: {error}") from None
    return yaml_value(f"--input {item}", text)
