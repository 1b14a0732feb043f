"""Checkpoints: everything a run needs to go on, as safetensors and JSON, written atomically.

    checkpoint/000500/parameters.safetensors   W, U, b, ...: by the names the spec gives them
                      optimizer.safetensors    mean/W, square/W, ...: slot/parameter
                      carry.safetensors        the state the next chunk starts from
                      best.safetensors         the weights with the lowest validation loss
                      state.json               counters, and which spec this is of
                      SHA256SUMS               what `sha256sum --check` reads

A checkpoint is written to a hidden folder beside it, flushed to the disk, and renamed when it is
complete, so a folder that has a number for its name was whole once. Whether it still is, the sums
say. The last two are kept. No pickle anywhere: reading runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as serialize

from unfold.errors import DataError

Array = np.ndarray
Arrays = dict[str, Array]
FORMAT = 2
KEPT = 2
SUMS = "SHA256SUMS"
DAMAGED = ".damaged"


@dataclass(frozen=True)
class Best:
    """The best weights so far.

    Attributes:
        step: after which they were measured.
        loss: on the validation data.
        misses: how many measurements since then found nothing better.
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
        step: how many steps have been taken.
        parameters: by name.
        slots: what the optimiser remembers, by slot and parameter.
        carry: the recurrent state the next chunk starts from; None starts anew.
        counters: sums over the steps so far, by name.
        best: the best weights, where there is validation.
    """

    step: int
    parameters: Arrays
    slots: Mapping[str, Arrays] = field(default_factory=dict[str, Arrays])
    carry: Arrays | None = None
    counters: Mapping[str, float] = field(default_factory=dict[str, float])
    best: Best | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: where it is, its state, and what it says of its run."""

    path: Path
    state: TrainingState
    facts: Mapping[str, Any]


def save(state: TrainingState, folder: Path, facts: Mapping[str, object]) -> Path:
    """Write a checkpoint into `folder`, drop all but it and the one before, and return its place.

    Arguments:
        state: what to keep.
        folder: the run's `checkpoint/`.
        facts: further JSON values to put into state.json (the optimiser, the vocabulary).

    Raises:
        OSError: it could not be written; what was there before is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{state.step:06d}"
    partial = folder / f".{final.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        _write(state, partial, facts)
        if final.exists():  # the same step of the same run, or one that a change has made obsolete
            shutil.rmtree(final)
        partial.rename(final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush(folder)
    numbered = _numbered(folder)
    here = numbered.index(final)
    # What is later belongs to steps that were taken back.
    for other in (*numbered[: max(here + 1 - KEPT, 0)], *numbered[here + 1 :]):
        shutil.rmtree(other)
    return final


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
    (partial / "state.json").write_text(text, encoding="utf-8")
    files = sorted(partial.iterdir())
    sums = "".join(f"{_sum(file)}  {file.name}\n" for file in files)
    (partial / SUMS).write_text(sums, encoding="utf-8")
    for file in (*files, partial / SUMS, partial):
        flush(file)


def newest(
    folder: Path, told: Callable[[str], None] = lambda _: None, *, move: bool = False
) -> Checkpoint | None:
    """Return the newest checkpoint of a run that is whole, or None where there is none.

    Arguments:
        folder: the run's `checkpoint/`.
        told: is given a line about every damaged one.
        move: whether to rename the damaged ones, so that nobody meets them again.

    Raises:
        DataError: there are checkpoints, and all of them are damaged.
    """
    numbered = _numbered(folder) if folder.is_dir() else []
    for number, path in enumerate(reversed(numbered), start=1):
        try:
            found = load(path)
        except DataError as error:
            older = numbered[-number - 1].name if number < len(numbered) else None
            told(f"{error}; {f'using {older}, the one before it' if older else 'none is left'}")
            if move and older:
                _set_aside(path)
            continue
        return found
    if numbered:
        raise DataError(
            f"{folder}: no checkpoint is whole\n"
            f"  help: to train from the start, remove {folder} and run it again"
        )
    return None


def latest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in a run's `checkpoint/`, or None."""
    numbered = _numbered(folder) if folder.is_dir() else []
    return numbered[-1] if numbered else None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DataError: where it is not one, is of another format, or was altered after it was written.
    """
    try:
        _check_sums(path)
        record = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise DataError(
                f"{path} has format {record['format']}, but this version reads format {FORMAT}"
            )
        slots: dict[str, Arrays] = {}
        for key, array in load_file(path / "optimizer.safetensors").items():
            slot, _, name = key.partition("/")
            slots.setdefault(slot, {})[name] = array
        carry, best = path / "carry.safetensors", path / "best.safetensors"
        state = TrainingState(
            step=int(record["step"]),
            parameters=load_file(path / "parameters.safetensors"),
            slots=slots,
            carry=load_file(carry) if carry.exists() else None,
            counters=record["counters"],
            best=Best(**record["best"], parameters=load_file(best)) if best.exists() else None,
        )
        return Checkpoint(path, state, record)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{path} is not a checkpoint of unfold: {error}") from None


def _check_sums(path: Path) -> None:
    sums = path / SUMS
    if not sums.is_file():
        raise DataError(f"{path} is damaged: it has no {SUMS}")
    listed = dict(_read_sums(sums.read_text(encoding="utf-8", errors="replace")))
    for name in ("parameters.safetensors", "optimizer.safetensors", "state.json"):
        if name not in listed:
            raise DataError(f"{path} is damaged: {SUMS} does not list {name}")
    for name, expected in listed.items():
        file = path / Path(name).name
        if not file.is_file():
            raise DataError(f"{path} is damaged: {file.name} is missing")
        if _sum(file) != expected:
            size = file.stat().st_size
            raise DataError(
                f"{path} is damaged: {file.name} ({size:,} bytes) is not what was written"
            )


def _read_sums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        yield name, digest


def _sum(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _set_aside(path: Path) -> None:
    aside = path.with_name(path.name + DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _write_arrays(file: Path, arrays: Mapping[str, Array]) -> None:
    file.write_bytes(serialize({n: np.array(a, order="C", copy=None) for n, a in arrays.items()}))


def flush(path: Path) -> None:
    """Make sure that bytes are on the disk, before the rename that declares them whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _numbered(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
