"""A trained model out of the folder of its run: weights, vocabularies, and inputs to write from.

    trained = open_trained("runs/char-rnn-1")
    trained.model, trained.params, trained.alphabet("x")

The weights are the best ones where there is validation, else the last. Vocabularies and scaling
are those of the checkpoint, so the data are not needed; only a context is taken from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.core.origin import Setting
from unfold.core.program import BATCH
from unfold.errors import DataError, UnfoldError
from unfold.generation import Alphabet
from unfold.settings.data import LinesData, SeriesData
from unfold.spec.file.model import Section
from unfold.terminal.run_folders import find_run, read_run
from unfold.terminal.screen import warn
from unfold.terminal.task import prepare
from unfold.training.checkpoint import newest
from unfold.training.data import read_data
from unfold.training.data.arrays import read_arrays

if TYPE_CHECKING:
    import unfold
    from unfold.generation.machine import Machine
    from unfold.generation.picture import Format

Array = np.ndarray
NUMPY, SAFE = ".npz", ".safetensors"


@dataclass(frozen=True)
class Trained:
    """A model and its weights.

    Attributes:
        folder: of the run.
        model: its spec.
        params: the weights.
        step: after which they were kept.
        data: what the checkpoint says of the data: vocabularies, normalisation, level.
        backend: of the run.
    """

    folder: Path
    model: unfold.Model
    params: Mapping[str, Any]
    step: int
    data: Mapping[str, Any]
    backend: str | None

    def alphabet(self, name: str) -> Alphabet | None:
        """Return the symbols of an input, where the data have names for them."""
        symbols = self.data.get("vocabularies", {}).get(name)
        level = str(self.data.get("level", "char"))
        return None if symbols is None else Alphabet.of(symbols, level)

    @property
    def lines(self) -> bool:
        """Whether the data were lines, each a sequence of its own."""
        section = self.model.spec.data
        return section is not None and isinstance(read_data(section), LinesData)

    def scale(self, name: str) -> tuple[list[str], Array, Array]:
        """Return the columns that an input reads, what was subtracted, and divided by."""
        section = self.model.spec.data
        data = read_data(section) if section is not None else None
        columns: list[str] = []
        if isinstance(data, SeriesData):
            found = {**data.inputs, **data.targets}.get(name, ())
            columns = [found] if isinstance(found, str) else list(found)
        scales = [self.data.get("normalisation", {}).get(c, {}) for c in columns]
        subtract = np.array([s.get("subtract", 0.0) for s in scales])
        return columns, subtract, np.array([s.get("divide", 1.0) for s in scales])

    def batches(self, *, last: bool) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """Yield inputs and lengths from the data of the run, of what was kept if some was.

        Arguments:
            last: from the end, as for a series that is to go on.
        """
        begun = read_run(self.folder)
        task = prepare(
            str(self.folder / "spec.yaml"), [], self.backend, begun.dtype or "float64", None
        )
        if task.data is None:
            return
        source = task.data.validation or task.data.train
        count = source.epoch or 1
        for number in range(count - 1, -1, -1) if last else range(count):
            batch = source.batch(number)
            yield dict(batch.inputs), dict(batch.lengths)


@dataclass(frozen=True)
class WrittenSequence:
    """One sequence that was written.

    Attributes:
        values: symbols [steps], or numbers [steps, columns].
        text: what symbols stand for.
        given: the context or prompt in words, and the right answer where the data have one.
        log_probability: where a beam search found it.
    """

    values: Array
    text: str
    given: Mapping[str, str]
    log_probability: float | None = None


@dataclass(frozen=True)
class Result:
    """All that was written.

    Attributes:
        lines: the sequences.
        text: what a person is shown.
        shown: whether that has been done.
        columns: names of numbers.
        draw: makes a picture of a format, where numbers were written.
    """

    lines: list[WrittenSequence]
    text: str
    shown: bool = False
    columns: tuple[str, ...] = ()
    draw: Callable[[Format], bytes] | None = None


def open_trained(path: str) -> Trained:
    """Return what the run in a folder has learnt; warn of damaged checkpoints.

    Raises:
        UnfoldError: there is no run, or no checkpoint in it.
    """
    import unfold

    folder = find_run(path, "")
    model = unfold.load(folder / "spec.yaml")
    found = newest(folder / "checkpoint", warn)
    if found is None:
        how = f"train it with  unfold run --resume {folder}"
        if model.spec.data is None:
            how = "give the spec a loss and data to train on, as in  data: {text: pydoc, …}"
        raise UnfoldError(f"{folder} has no checkpoint, so it has no weights\n  help: {how}")
    best = found.state.best
    step, params = (
        (best.step, best.parameters) if best else (found.state.step, found.state.parameters)
    )
    data = found.facts.get("data", {})
    return Trained(folder, model, params, step, data, read_run(folder).backend)


def read_inputs(file: str, machine: Machine) -> dict[str, Array]:
    """Return arrays of a NPZ or safetensors file, [rows, ...] by the name of an input.

    Raises:
        DataError: it cannot be read, or has an array that is no input.
    """
    path = Path(file)
    if path.suffix not in (NUMPY, SAFE):
        raise DataError(f"--inputs {file}: expected a file {NUMPY} or {SAFE}")
    try:
        arrays = read_arrays(file, Section.at(None, {}), (), Path())
    except DataError as error:
        raise DataError(f"--inputs {file}: cannot be read: {error}") from None
    known = {v.name for v in machine.program.inputs if not isinstance(v.origin, Setting)}
    for name in arrays:
        if name not in known:
            shown = ", ".join(sorted(n for n in known if "." not in n))
            raise DataError(f"--inputs {file}: there is no input {name}; the inputs are {shown}")
    return arrays


def context_of(
    trained: Trained, machine: Machine, number: int, *, last: bool = False
) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """Yield inputs and lengths of so many sequences of the data, all inputs of the spec.

    Raises:
        UnfoldError: the run has no data.
    """
    left, axis = number, machine.loop.axis
    for inputs, lengths in trained.batches(last=last):
        count = min(left, len(next(iter(inputs.values()))))
        rows = slice(-count, None) if last else slice(0, count)
        used = {
            a
            for v in machine.program.inputs
            if v.name in machine.context
            for a in v.axes
            if a not in (BATCH, axis)
        }
        yield (
            {n: a[rows] for n, a in inputs.items()},
            {a: n[rows] for a, n in lengths.items() if a in used},
        )
        left -= count
        if not left:
            return
    if left == number:
        names = ", ".join(machine.context) or machine.loop.teacher
        raise UnfoldError(
            f"{trained.folder} has no data for {names}\n"
            "  help: pass arrays by name, as in  --inputs inputs.npz"
        )
