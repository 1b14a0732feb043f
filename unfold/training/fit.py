"""Training from Python: `unfold.train`.

    model = unfold.load("hello")
    outcome = unfold.train(model, {"x": x, "target": y}, steps=500, optimizer="adam", batch=16)
    outcome.params, outcome.losses, outcome.ending

All other settings are keys of the section `train` of a spec. With a folder, a repeated call resumes
from the last checkpoint there, and ends as if it had never been interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unfold.errors import DataError, Diagnostic, SpecError, UnfoldError
from unfold.settings.train import TrainSettings, Validation, read_train
from unfold.spec.file.model import Section
from unfold.training.checkpoint import TrainingState, newest
from unfold.training.data import Data, Dataset, Source, open_data, read_data
from unfold.training.data.make import arrays
from unfold.training.facts import check_fits, facts, with_slots
from unfold.training.folder import locked
from unfold.training.learner import Learner
from unfold.training.loop import Reduce, Trainer, alone, once, start
from unfold.training.session import Callback, Outcome, Setting, Writer, run_session
from unfold.training.truncate import read_batches

DTYPES = ("float32", "float64")


def train(
    model: Any,
    data: Mapping[str, Any] | Dataset | Data | Source | None = None,
    *,
    batch: int = 32,
    lengths: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    backend: str | None = None,
    dtype: str = "float64",
    reduce: Reduce = alone,
    **settings: Any,
) -> Outcome:
    """Train a model.

    Args:
        model: from `unfold.load`.
        data: arrays [N, *axes, *shape] by input, which are cut into batches; or a result of
            `unfold.training.data.make`; or anything with the methods of a `Source`; default: the
            data of the spec's section `data`.
        batch: sequences per batch of arrays.
        lengths: of arrays, per axis the length of each sequence, [N].
        params: initial parameters; default: fresh ones, from the seed.
        folder: for checkpoints, metrics.jsonl and event files. It is created if it is missing.
            If it has a checkpoint, training resumes from it.
        callbacks: functions of (metrics, trainer), called after every step; one that returns True
            ends the training.
        backend: "numba" or "reference"; default: $UNFOLD_BACKEND, or "numba".
        dtype: "float32" or "float64".
        reduce: joins the gradients of all processes, see `loop.Reduce`.
        **settings: keys of the section `train`, such as steps, optimizer, schedule, clip, seed,
            validation; default: those of the spec's section.

    Returns:
        parameters, losses and the reason of the end: "finished", "early" (a callback, or
        patience), or "diverged"; `diagnosis` then names the first number that is not finite.

    Raises:
        SpecError: the settings are invalid.
        DataError: the data or the folder do not fit the model.
    """
    if model.program.loss is None:
        raise UnfoldError(
            f"{model.name} has no loss; add one, as in  loss: mean[t](mse(o[t], y[t]))"
        )
    if dtype not in DTYPES:
        raise DataError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    how = _read_settings(model, settings)
    found = _read_data(model, data, batch, lengths, dtype, how)
    if found.validation is not None:
        how = how.model_copy(update={"validation": how.validation or Validation()})
    elif how.validation is not None:
        raise DataError("validation: the data have no validation part")
    learner = Learner(model, backend)
    mine = facts(learner, how, found.facts)
    begin = start(learner, how, dtype)
    if params is not None:
        begin = TrainingState(0, {n: _cast(n, params, a) for n, a in begin.parameters.items()})
    place = Path(folder) if folder is not None else None
    with ExitStack() as held:
        writers: list[Writer] = []
        if place is not None:
            begin = _enter(held, place, begin, learner, how, mine)
            if how.tensorboard:
                from unfold.training.tensorboard import EventWriter

                writers.append(EventWriter(place, begin.step + 1))
        validation = found.validation
        return run_session(
            Trainer(learner, found.train, how, begin, reduce=reduce),
            Setting(
                place,
                mine,
                validation=None if validation is None else lambda: once(validation),
                callbacks=callbacks,
                writers=writers,
            ),
        )


def _read_settings(model: Any, settings: Mapping[str, Any]) -> TrainSettings:
    """Read settings, over those of the spec."""
    written = model.spec.train
    return read_train(Section.at(None, {**(written.tree if written else {}), **settings}))


def _read_data(
    model: Any,
    data: Mapping[str, Any] | Dataset | Data | Source | None,
    batch: int,
    lengths: Mapping[str, Any] | None,
    dtype: str,
    how: TrainSettings,
) -> Data:
    """Make batches of the given data."""
    if isinstance(data, Data):
        return data
    if data is None:
        section = model.spec.data
        if section is None:
            place = Diagnostic(f"{model.name} has no data", help="pass data, or add  data: …")
            raise SpecError(place)
        data = open_data(read_data(section), section, Path(model.spec.file).parent)
    elif isinstance(data, Mapping):
        data = arrays(data, batch=batch, lengths=lengths or {})
    if isinstance(data, Source):
        if how.truncate is not None:
            raise DataError("truncate: a custom source makes its own chunks; remove truncate")
        return Data(data, None, "")
    return read_batches(
        data, model.program, how.truncate, model.spec.train, dtype=dtype, carry=how.carries
    )


def _cast(name: str, params: Mapping[str, Any], like: Any) -> Any:
    if name not in params:
        raise DataError(f"params lacks {name}; pass all parameters that model.init() returns")
    if params[name].shape != like.shape:
        raise DataError(
            f"params[{name!r}] has the shape {list(params[name].shape)}, expected"
            f" {list(like.shape)}"
        )
    return params[name].astype(like.dtype)


def _enter(
    held: ExitStack,
    folder: Path,
    begin: TrainingState,
    learner: Learner,
    settings: TrainSettings,
    mine: Mapping[str, Any],
) -> TrainingState:
    """Lock a folder, and return the state to resume from."""
    import warnings

    folder.mkdir(parents=True, exist_ok=True)
    held.enter_context(locked(folder))
    found = newest(folder / "checkpoint", lambda told: warnings.warn(told, stacklevel=4), move=True)
    if found is None:
        return begin
    check_fits(found, with_slots(begin, learner, settings), mine)
    return found.state
