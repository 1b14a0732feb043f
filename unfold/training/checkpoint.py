"""Checkpoints: everything that a run needs to resume, as safetensors and JSON, written atomically.

    checkpoint/000500/parameters.safetensors   W, U, b, ...: by the names the spec gives them
                      optimizer.safetensors    mean/W, square/W, ...: slot/parameter
                      carry.safetensors        the state the next chunk starts from
                      best.safetensors         the weights with the lowest validation loss
                      state.json               counters, and the identity of the spec
                      SHA256SUMS               for `sha256sum --check`

A checkpoint is written to a hidden folder beside it, flushed to the disk, and renamed when it is
complete, so a folder with a number for its name was once whole; the sums show whether it still is.
The last two are kept. There is no pickle: reading runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as serialize

from unfold.errors import DataError
from unfold.files import (
    checked,
    explain,
    flush,
    is_folder,
    is_regular,
    kind_of,
    open_regular,
    read_object,
    read_regular,
    remove,
)

Array = np.ndarray
Arrays = dict[str, Array]
FORMAT = 2
KEPT = 2
SUMS, STATE = "SHA256SUMS", "state.json"
MARKS = (SUMS, STATE)  # distinguishes a checkpoint from a folder of another origin
DAMAGED = ".damaged"
NUMBER = re.compile(r"[0-9]{6,18}")  # the name of a checkpoint
LARGEST = 2**53  # steps: more than any run takes, and what JSON keeps exactly


@dataclass(frozen=True)
class Best:
    """The best weights so far.

    Attributes:
        step: after which they were measured.
        loss: on the validation data.
        misses: the number of measurements since then without improvement.
        parameters: by name.
    """

    step: int
    loss: float
    misses: int
    parameters: Arrays


@dataclass(frozen=True)
class TrainingState:
    """A run between two steps.

    Attributes:
        step: the number of steps taken.
        parameters: by name.
        slots: the optimiser's memory, by slot and parameter.
        carry: the recurrent state that the next chunk starts from; None starts anew.
        counters: sums over the steps so far, by name.
        best: the best weights, if there is validation.
    """

    step: int
    parameters: Arrays
    slots: Mapping[str, Arrays] = field(default_factory=dict[str, Arrays])
    carry: Arrays | None = None
    counters: Mapping[str, float] = field(default_factory=dict[str, float])
    best: Best | None = None


class _Checked(BaseModel):
    """Part of a state.json; the rest of its content is as it was written."""

    model_config = ConfigDict(extra="allow", defer_build=True)


class _BestRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)
    step: int = Field(ge=0, le=LARGEST)
    loss: float
    misses: int = Field(ge=0, le=LARGEST)


class _Data(_Checked):
    vocabularies: dict[str, str | list[str]] = {}
    normalisation: dict[str, dict[str, float]] = {}
    level: str = ""
    fingerprint: str = ""


class _Record(_Checked):
    """The content of state.json; `facts` of a run are part of it."""

    step: int = Field(ge=0, le=LARGEST)
    counters: dict[str, float]
    best: _BestRecord | None
    unfold: str = ""
    seed: int = 0
    equations: list[str] = []
    data: _Data = _Data()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: its place, its state, and its facts about the run."""

    path: Path
    state: TrainingState
    facts: Mapping[str, Any]


def save(state: TrainingState, folder: Path, facts: Mapping[str, object]) -> Path:
    """Write a checkpoint into `folder`, drop all but it and the one before, and return its place.

    Arguments:
        state: to save.
        folder: the run's `checkpoint/`.
        facts: further JSON values to put into state.json (the optimiser, the vocabulary).

    Raises:
        OSError: it could not be written; earlier checkpoints are unchanged.
    """
    if not is_folder(folder):
        numbered(folder)  # reports anything else there
        folder.mkdir()  # not its parents: a run folder that has moved is not created again
    final = folder / f"{state.step:06d}"
    partial = folder / f".{final.name}.{os.getpid()}.partial"
    remove(partial)
    try:
        partial.mkdir()
        _write(state, partial, facts)
        # The same step of the same run, or one that a change has made obsolete.
        if not _drop(final):
            _set_aside(final)
        partial.rename(final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush(folder)
    all_of_them = numbered(folder)
    here = all_of_them.index(final)
    # Later checkpoints belong to steps that were taken back.
    for other in (*all_of_them[: max(here + 1 - KEPT, 0)], *all_of_them[here + 1 :]):
        _drop(other)
    return final


def _drop(path: Path) -> bool:
    """Remove a checkpoint, or a link to one; what is neither stays. Say whether nothing is left."""
    if path.is_symlink() or (is_folder(path) and any(is_regular(path / n) for n in MARKS)):
        remove(path)
    return kind_of(path) is None


def _write(state: TrainingState, partial: Path, facts: Mapping[str, object]) -> None:
    slots = {f"{s}/{n}": a for s, arrays in state.slots.items() for n, a in arrays.items()}
    parts: dict[str, Mapping[str, Array]] = {"parameters": state.parameters, "optimizer": slots}
    if state.carry is not None:
        parts["carry"] = state.carry
    if state.best is not None:
        parts["best"] = state.best.parameters
    for name, arrays in parts.items():
        _write_arrays(partial / f"{name}.safetensors", arrays)
    best = state.best
    kept = {"step": best.step, "loss": best.loss, "misses": best.misses} if best else None
    record = {
        **facts,
        "format": FORMAT,
        "step": state.step,
        "counters": dict(state.counters),
        "best": kept,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (partial / STATE).write_text(text, encoding="utf-8")
    files = sorted(partial.iterdir())
    sums = "".join(f"{_sum(file)}  {file.name}\n" for file in files)
    (partial / SUMS).write_text(sums, encoding="utf-8")
    for file in (*files, partial / SUMS, partial):
        flush(file)


def newest(
    folder: Path, told: Callable[[str], None] = lambda _: None, *, move: bool = False
) -> Checkpoint | None:
    """Return the newest undamaged checkpoint of a run, or None if there is none.

    Arguments:
        folder: the run's `checkpoint/`.
        told: receives a line about every damaged one.
        move: whether to rename the damaged ones, so that they are not found again.

    Raises:
        DataError: there are checkpoints, and all of them are damaged.
    """
    all_of_them = numbered(folder)
    for number, path in enumerate(reversed(all_of_them), start=1):
        try:
            found = load(path)
        except DataError as error:
            older = all_of_them[-number - 1].name if number < len(all_of_them) else None
            told(f"{error}; {f'using the previous one, {older}' if older else 'none is left'}")
            if move and older:
                _set_aside(path)
            continue
        return found
    if all_of_them:
        raise DataError(
            f"{folder}: no checkpoint is complete\n"
            f"  help: to train from the start, remove {folder} and start a new run"
        )
    return None


def latest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in a run's `checkpoint/`, or None."""
    all_of_them = numbered(folder)
    return all_of_them[-1] if all_of_them else None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DataError: it is not one, is of another format, or was altered after it was written.
    """
    if not is_folder(path):
        raise DataError(f"{path} is {kind_of(path)}, not the folder of a checkpoint")
    _check_sums(path)
    document = read_object(path / STATE)
    if document.get("format") != FORMAT:
        found = document.get("format")
        raise DataError(f"{path} has format {found}, but this version reads format {FORMAT}")
    record = checked(document, _Record, path / STATE)
    names = ["parameters", "optimizer"]
    names += [n for n in ("carry", "best") if kind_of(path / f"{n}.safetensors")]
    parts = {name: _read_arrays(path / f"{name}.safetensors") for name in names}
    slots: dict[str, Arrays] = {}
    for key, array in parts["optimizer"].items():
        slot, _, name = key.partition("/")
        slots.setdefault(slot, {})[name] = array
    best = document["best"]  # as it was written: a whole number stays one
    state = TrainingState(
        step=record.step,
        parameters=parts["parameters"],
        slots=slots,
        carry=parts.get("carry"),
        counters=document["counters"],
        best=Best(**best, parameters=parts["best"]) if best and "best" in parts else None,
    )
    return Checkpoint(path, state, document)


def _read_arrays(file: Path) -> Arrays:
    """Return the arrays of a safetensors file.

    Raises:
        DataError: it is not a safetensors file.
    """
    os.close(open_regular(file))  # the library opens any kind of file of that name
    try:
        return load_file(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(f"{file} does not contain arrays: {error}") from None


def _check_sums(path: Path) -> None:
    if not is_regular(path / SUMS):
        raise DataError(f"{path} is damaged: it has no {SUMS}")
    try:
        text = read_regular(path / SUMS).decode(errors="replace")
        _compare_sums(path, dict(_read_sums(text)))
    except OSError as error:
        raise DataError(f"cannot read {path}: {explain(error)}") from None


def _compare_sums(path: Path, listed: Mapping[str, str]) -> None:
    for name in ("parameters.safetensors", "optimizer.safetensors", STATE):
        if name not in listed:
            raise DataError(f"{path} is damaged: {SUMS} does not list {name}")
    for name, expected in listed.items():
        file = path / Path(name).name
        if not is_regular(file):
            raise DataError(f"{path} is damaged: {file.name} is {kind_of(file) or 'missing'}")
        if _sum(file) != expected:
            size = file.stat().st_size
            raise DataError(
                f"{path} is damaged: {file.name} ({size:,} bytes) differs from what was written"
            )


def _read_sums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        yield name, digest


def _sum(file: Path) -> str:
    with os.fdopen(open_regular(file), "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _set_aside(path: Path) -> None:
    aside = path.with_name(path.name + DAMAGED)
    remove(aside)
    path.rename(aside)


def _write_arrays(file: Path, arrays: Mapping[str, Array]) -> None:
    file.write_bytes(serialize({n: np.array(a, order="C", copy=None) for n, a in arrays.items()}))


def numbered(folder: Path) -> list[Path]:
    """Return the entries of a run's `checkpoint/` with names of checkpoints, the oldest first.

    Raises:
        DataError: it is a link, or not a folder.
    """
    if (kind := kind_of(folder)) is None:
        return []
    if not is_folder(folder):
        raise DataError(
            f"{folder} is {kind}, but must be the folder of the run's checkpoints\n"
            "  help: replace it with the checkpoints themselves"
        )
    named = (p for p in folder.iterdir() if NUMBER.fullmatch(p.name))
    return sorted((p for p in named if not is_regular(p)), key=lambda p: int(p.name))
