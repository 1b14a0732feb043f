"""The facts of a checkpoint about its run, and the check that they fit the present training.

facts    name, equations, optimiser, seed, fingerprint of the data: in state.json
fits     compares them, and names the first difference:

runs/x-1/checkpoint/000040 is a checkpoint of a different spec
  it was trained with  h[t] = tanh(h.3[t])
  the spec now has     h[t] = relu(h.3[t])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfold.core.printing import show_program
from unfold.core.program import Program
from unfold.errors import DataError
from unfold.settings.train import TrainSettings
from unfold.training.checkpoint import Checkpoint, TrainingState
from unfold.training.learner import Learner
from unfold.version import VERSION


def facts(learner: Learner, settings: TrainSettings, data: Mapping[str, object]) -> dict[str, Any]:
    """Return the facts of a checkpoint about its run, without the arrays.

    Arguments:
        learner: that is trained.
        settings: of the training.
        data: facts of the data.
    """
    optimizer, program = settings.optimizer, learner.model.program
    return {
        "name": program.name,
        "unfold": VERSION,
        "optimizer": {optimizer.key: dict(vars(optimizer))},
        "seed": settings.seed,
        "equations": equations(program),
        "data": dict(data),
    }


def equations(program: Program) -> list[str]:
    """Return a Program line by line, without extents, which may change."""
    _, *lines = show_program(program).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def check_fits(found: Checkpoint, fresh: TrainingState, expected: Mapping[str, Any]) -> None:
    """Compare a checkpoint with the present training.

    Arguments:
        found: the checkpoint.
        fresh: the state that training would begin with, `with_slots`.
        expected: `facts` of now.

    Raises:
        DataError: it belongs to another spec, optimiser, seed, type of numbers or data.
    """
    path, state = found.path, found.state
    _compare(f"{path}: parameter", _shapes(state.parameters), _shapes(fresh.parameters))
    if state.step:
        slots, wanted = state.slots, fresh.slots
        _compare(f"{path}: the optimiser's", _slot_shapes(slots), _slot_shapes(wanted))
    types, now = ({str(a.dtype) for a in s.parameters.values()} for s in (state, fresh))
    if types != now:
        raise DataError(
            f"{path} has numbers of the type {', '.join(types)}, but --dtype says {', '.join(now)}"
        )
    if found.facts.get("unfold") == expected["unfold"]:
        _compare_equations(path, found.facts.get("equations", []), expected["equations"])
    seed = found.facts.get("seed", expected["seed"])
    if seed != expected["seed"]:
        raise DataError(
            f"{path} was trained with the seed {seed}, but train.seed is now {expected['seed']}"
        )
    _compare_data(path, found.facts.get("data", {}), expected["data"])


def with_slots(state: TrainingState, learner: Learner, settings: TrainSettings) -> TrainingState:
    """Return a first state with the arrays an optimiser would keep, for their shapes."""
    trained = {n: state.parameters[n] for n in learner.trained}
    slots = {slot: trained for slot in settings.optimizer.slots}
    return TrainingState(state.step, state.parameters, slots)


def _compare_equations(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    """Name the first equation that differs."""
    if list(found) == list(expected):
        return
    gone = [line for line in found if line not in expected]
    new = [line for line in expected if line not in found]
    raise DataError(
        f"{path} is a checkpoint of a different spec\n"
        f"  it was trained with  {gone[0] if gone else 'the same equations in another order'}\n"
        f"  the spec now has     {new[0] if new else 'nothing in its place'}\n"
        "  help: undo the change of the spec, or train the new spec in a separate folder"
    )


def _compare_data(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Report that the data have changed."""
    if found.get("vocabularies") != expected.get("vocabularies"):
        raise DataError(f"{path}: the text has different characters from those it was trained on")
    if found.get("fingerprint") != expected.get("fingerprint"):
        raise DataError(
            f"{path}: the data differ from those it was trained on\n"
            "  help: restore the old data, or start a new run"
        )


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _slot_shapes(slots: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, tuple[int, ...]]:
    return {f"{s} of {n}": a.shape for s, arrays in slots.items() for n, a in arrays.items()}


def _compare(
    what: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            shown = [str(list(s[name])) if name in s else "nothing" for s in (found, expected)]
            raise DataError(f"{what} {name} is {shown[0]}, but the spec makes it {shown[1]}")
