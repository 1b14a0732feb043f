"""What a run works on: the model at the sizes its data asks for, the batches, and how to train.

spec  →  data settings  →  data  →  what they want of the spec (`vocab`)  →  model  →  batches
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unfold.core.types import dims
from unfold.errors import Diagnostic, SpecError, UnfoldError
from unfold.settings.data import DataSettings, LinesData, TextData, family
from unfold.settings.generate import GenerateSettings, read_generate
from unfold.settings.train import TrainSettings, Validation, read_train
from unfold.terminal.language import LanguageModel, language_model
from unfold.terminal.loading import Changes, choose_backend, load, read_changes, read_mode
from unfold.training.data import Data, Source, axis_extents, check_data, open_data, read_data
from unfold.training.data.text import Text
from unfold.training.learner import Learner
from unfold.training.truncate import read_batches

if TYPE_CHECKING:
    import numpy as np

    import unfold

    Arrays = dict[str, np.ndarray]


DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Task:
    """A loaded spec, ready to be trained or run.

    Attributes:
        model: at its final sizes.
        engine: the model on the backend that was asked for.
        changes: of the command line, and extents that the data decided.
        sizes: those that the data decided.
        train: how to train; the defaults where the spec does not say.
        generate: how to write a sample.
        data: batches to train on and to validate with; None where the spec has no data.
        text: the text, where the data is one.
        language: how the spec predicts the next character, where it does.
        sections: the sections that differ from the file.
    """

    model: unfold.Model
    engine: Learner
    changes: Changes
    sizes: Mapping[str, int]
    train: TrainSettings
    generate: GenerateSettings
    data: Data | None
    text: Text | None
    language: LanguageModel | None
    sections: Mapping[str, Mapping[str, Any]]

    @property
    def source(self) -> Source | None:
        """Where batches come from; None where the spec has no data."""
        return self.data.train if self.data else None


@dataclass(frozen=True)
class Fed:
    """A spec and its data.

    Attributes:
        model: at the sizes and extents that the data want.
        changes: of the command line, and extents that the data decided.
        sizes: those that the data decided.
        settings: the section `data`.
        data: the batches.
    """

    model: unfold.Model
    changes: Changes
    sizes: Mapping[str, int]
    settings: DataSettings
    data: Data


def feed(
    spec: str, model: unfold.Model, changes: Changes, settings: TrainSettings, dtype: str
) -> Fed:
    """Read the data of a spec that has some, and load it again at the sizes that they decide.

    Raises:
        UnfoldError: data that cannot be read, or do not fit.
    """
    section, train = model.spec.data, model.spec.train
    assert section is not None
    found = read_data(section)
    check_data(found, section, model.program)
    content = open_data(found, section, Path(model.spec.file).parent)
    fit = content.fit(model.program)
    sizes = _decided_sizes(model, fit.sizes, changes)
    now = axis_extents(model.program)
    axes = {a: n for a, n in fit.axes.items() if a not in changes.axes and now[a] != n}
    if sizes or axes:
        changes = replace(changes, axes={**changes.axes, **axes})
        model = load(spec, changes, sizes)
    cut, carry = settings.truncate, settings.carries
    batches = read_batches(content, model.program, cut, train, dtype=dtype, carry=carry)
    return Fed(model, changes, sizes, found, batches)


def prepare(
    spec: str, items: list[str] | None, backend: str | None, dtype: str, mode: str | None
) -> Task:
    """Load a spec, its settings and its data.

    Raises:
        UnfoldError: for every mistake of the user in any of them.
    """
    backend = choose_backend(backend)
    if dtype not in DTYPES:
        raise UnfoldError(f"--dtype {dtype}: expected one of {', '.join(DTYPES)}")
    changes = read_changes(items)
    model = load(spec, changes)
    data, train, generate = model.spec.data, model.spec.train, model.spec.generate
    settings = read_train(train) if train else TrainSettings()
    if asked := read_mode(mode):
        settings = settings.model_copy(update={"mode": asked})
    writing = read_generate(generate) if generate else GenerateSettings()
    batches, text, language = None, None, None
    sizes: Mapping[str, int] = {}
    sections = _changed_sections(model, changes)
    if data is None and train is not None:
        raise SpecError(
            Diagnostic(
                "the spec has no training data",
                train.locate_key(()),
                help="add  data: {random: true}  or  data: {text: pydoc, input: x, target: y}",
            )
        )
    if data is not None and model.program.loss is None:
        place = data.locate_key(())
        raise SpecError(Diagnostic("training needs a loss", place, help="add  loss: ..."))
    if data is not None:
        fed = feed(spec, model, changes, settings, dtype)
        model, changes, sizes, batches = fed.model, fed.changes, fed.sizes, fed.data
        settings = _with_validation(settings, batches, train)
        text = batches.text
        if text is not None and isinstance(fed.settings, TextData | LinesData):
            text.encode(writing.prompt)  # a mistake in it should not wait until training is over
            cut = settings.truncate
            extent = cut.every if cut else axis_extents(model.program)[fed.settings.axis]
            language = language_model(model.spec, fed.settings, extent)
    engine = Learner(model, backend)
    return Task(model, engine, changes, sizes, settings, writing, batches, text, language, sections)


def _with_validation(settings: TrainSettings, data: Data, train: Any) -> TrainSettings:
    """Validate wherever there is data to validate with, and nowhere else.

    Raises:
        SpecError: validation is asked for, and the data keep nothing for it.
    """
    if data.validation is not None:
        return settings.model_copy(update={"validation": settings.validation or Validation()})
    if settings.validation is not None:
        place = train.locate_key(("validation",))
        help = "hold some out, as in  data: {..., validation: 0.1}"
        raise SpecError(Diagnostic("the data have no validation part", place, help=help))
    return settings


def _decided_sizes(
    model: unfold.Model, wanted: Mapping[str, int], changes: Changes
) -> dict[str, int]:
    """Return the named sizes that the data decide, where they differ from the spec's."""
    now = {d.text: int(d) for v in model.program.inputs for d in dims(v.type.shape)}
    named = {s.name for s in model.spec.sizes} - set(changes.sizes)
    return {n: size for n, size in wanted.items() if n in named and now.get(n) != size}


def _changed_sections(model: unfold.Model, changes: Changes) -> dict[str, Mapping[str, Any]]:
    """Return the sections with changes, and the data where it names a file: its place changes."""
    names = sorted({path[0] for path in changes.settings})
    found: dict[str, Mapping[str, Any]] = {n: getattr(model.spec, n).tree for n in names}
    data = model.spec.data
    if data and (key := family(data.tree)) and isinstance(source := data.tree[key], dict):
        home = Path(model.spec.file).parent
        paths = {
            k: str((home / str(v)).resolve()) for k, v in source.items() if k in ("file", "folder")
        }
        if paths:
            found["data"] = {**data.tree, key: {**source, **paths}}
    return found
