"""Checkpoints: everything a run needs to go on, as safetensors and JSON, written atomically.

    checkpoint/000500/parameters.safetensors   W, U, b, ...: by the names the spec gives them
                      optimizer.safetensors    mean/W, square/W, ...: slot/parameter
                      carry.safetensors        the state the next chunk starts from
                      state.json               counters, and which optimiser this is

A checkpoint is written to a hidden folder beside it and renamed when complete, so a folder that has
a number for its name is whole. The last two are kept. No pickle anywhere: reading runs no code.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from unfold.errors import DataError
from unfold.training.optimizers import OptimizerState

Array = np.ndarray
Arrays = dict[str, Array]
FORMAT = 1
KEPT = 2


@dataclass(frozen=True)
class TrainingState:
    """A run between two steps.

    Attributes:
        step: how many steps have been taken.
        parameters: by name.
        optimizer: what the optimiser remembers.
        carry: the recurrent state the next chunk starts from; None starts anew.
        clipped: how many steps had their gradients clipped.
    """

    step: int
    parameters: Arrays
    optimizer: OptimizerState
    carry: Arrays | None = None
    clipped: int = 0


def save(state: TrainingState, folder: Path, facts: Mapping[str, object]) -> Path:
    """Write a checkpoint into `folder`, drop all but the last two, and return where it is.

    Arguments:
        state: what to keep.
        folder: the run's `checkpoint/`.
        facts: further JSON values to put into state.json (the optimiser, the vocabulary).
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{state.step:06d}"
    if final.exists():
        return final
    partial = folder / f".{final.name}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    slots = {
        f"{s}/{n}": a for s, arrays in state.optimizer.slots.items() for n, a in arrays.items()
    }
    _write(partial / "parameters.safetensors", state.parameters)
    _write(partial / "optimizer.safetensors", slots)
    if state.carry is not None:
        _write(partial / "carry.safetensors", state.carry)
    record = {
        **facts,
        "format": FORMAT,
        "step": state.step,
        "clipped": state.clipped,
        "optimizer_step": state.optimizer.step,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (partial / "state.json").write_text(text, encoding="utf-8")
    for file in (*partial.iterdir(), partial):
        _flush(file)
    partial.rename(final)
    _flush(folder)
    for old in _numbered(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def latest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in a run's `checkpoint/`, or None."""
    numbered = _numbered(folder) if folder.is_dir() else []
    return numbered[-1] if numbered else None


def load(checkpoint: Path) -> TrainingState:
    """Read a checkpoint.

    Raises:
        DataError: where it is not one, or is of another format.
    """
    try:
        record = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise DataError(f"{checkpoint} has format {record['format']}, expected {FORMAT}")
        slots: dict[str, Arrays] = {}
        for key, array in load_file(checkpoint / "optimizer.safetensors").items():
            slot, _, name = key.partition("/")
            slots.setdefault(slot, {})[name] = array
        carry_file = checkpoint / "carry.safetensors"
        return TrainingState(
            step=int(record["step"]),
            parameters=load_file(checkpoint / "parameters.safetensors"),
            optimizer=OptimizerState(int(record["optimizer_step"]), slots),
            carry=load_file(carry_file) if carry_file.exists() else None,
            clipped=int(record["clipped"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{checkpoint} is not a checkpoint of unfold: {error}") from None


def _write(file: Path, arrays: Mapping[str, Array]) -> None:
    save_file({n: np.array(a, order="C", copy=None) for n, a in arrays.items()}, file)


def _flush(path: Path) -> None:
    """Make sure that the bytes are on the disk before the rename that declares them whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _numbered(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
