"""What a run works on: the model at the sizes its data asks for, the batches, and how to train.

spec  →  data settings  →  text  →  vocabulary sets `vocab`  →  model  →  chunks of the text
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unfold.commands.language import language_model
from unfold.commands.loading import Changes, choose_backend, load, read_changes, read_mode, section
from unfold.errors import Diagnostic, SpecError, UnfoldError
from unfold.training.data import (
    Source,
    axis_extents,
    check_text_inputs,
    random_source,
    text_source,
)
from unfold.training.data.settings import RandomData, TextData, read_data
from unfold.training.data.text import Text, read_text
from unfold.training.sample import LanguageModel
from unfold.training.settings import (
    GenerateSettings,
    TrainSettings,
    read_generate,
    read_train,
)

if TYPE_CHECKING:
    import numpy as np

    import unfold

    Arrays = dict[str, np.ndarray]


DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Engine:
    """A model on one backend: what training sees of it."""

    model: unfold.Model
    backend: str

    def init(self, seed: int = 0, dtype: str = "float64") -> Arrays:
        """Return fresh parameters."""
        return self.model.init(seed=seed, dtype=dtype)

    def step(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Run forward and backward."""
        return self.model.step(params, inputs, backend=self.backend, **options)

    def forward(self, params: Arrays, inputs: Arrays, **options: Any) -> Any:
        """Run forward."""
        return self.model.forward(params, inputs, backend=self.backend, **options)


@dataclass(frozen=True)
class Task:
    """A loaded spec, ready to be trained or run.

    Attributes:
        model: at its final sizes.
        engine: the model on the backend that was asked for.
        changes: of the command line.
        sizes: those that the data decided.
        train: how to train; the defaults where the spec does not say.
        generate: how to write a sample.
        source: where batches come from; None where the spec has no data.
        text: the text, where the data is one.
        language: how the spec predicts the next character, where it does.
        sections: the sections that differ from the file.
    """

    model: unfold.Model
    engine: Engine
    changes: Changes
    sizes: Mapping[str, int]
    train: TrainSettings
    generate: GenerateSettings
    source: Source | None
    text: Text | None
    language: LanguageModel | None
    sections: Mapping[str, Mapping[str, Any]]


def prepare(spec: str, items: list[str], backend: str | None, dtype: str, mode: str | None) -> Task:
    """Load a spec, its settings and its data.

    Raises:
        UnfoldError: for every mistake of the user in any of them.
    """
    backend = choose_backend(backend)
    if dtype not in DTYPES:
        raise UnfoldError(f"--dtype {dtype}: expected one of {', '.join(DTYPES)}")
    changes = read_changes(items)
    model = load(spec, changes)
    data, train, generate = (section(model, n, changes) for n in ("data", "train", "generate"))
    settings = read_train(train) if train else TrainSettings()
    if asked := read_mode(mode):
        settings = settings.model_copy(update={"mode": asked})
    writing = read_generate(generate) if generate else GenerateSettings()
    source, text, language = None, None, None
    sizes: dict[str, int] = {}
    sections = _changed_sections(model, changes)
    if data is None and train is not None:
        raise SpecError(
            Diagnostic(
                "there is nothing to train on",
                train.locate_key(()),
                help="add  data: {random: true}  or  data: {text: pydoc, input: x, target: y}",
            )
        )
    if data is not None and model.program.loss is None:
        place = data.locate_key(())
        raise SpecError(Diagnostic("training needs a loss", place, help="add  loss: ..."))
    if data is not None:
        found = read_data(data)
        if isinstance(found, RandomData):
            source = random_source(found, model.program, dtype)
        else:
            text = read_text(found, data, Path(model.spec.file).parent)
            text.encode(writing.prime)  # a mistake in it should not wait until training is over
            sizes = _vocabulary_size(model, found, data, text, changes)
            if sizes:
                model = load(spec, changes, sizes)
            source = text_source(found, data, text, model.program, settings.carry)
            extent = axis_extents(model.program)[found.axis]
            language = language_model(model.spec, found, extent)
    engine = Engine(model, backend)
    return Task(model, engine, changes, sizes, settings, writing, source, text, language, sections)


def _vocabulary_size(
    model: unfold.Model, settings: TextData, data: Any, text: Text, changes: Changes
) -> dict[str, int]:
    """Return the named size that the text's vocabulary decides, where it is one and differs."""
    name = check_text_inputs(settings, data, model.program)
    named = {s.name for s in model.spec.sizes}
    symbols = len(text.vocabulary)
    if name not in named or name in changes.sizes:
        return {}
    return {} if model.program[settings.input].type.shape[0] == symbols else {name: symbols}


def _changed_sections(model: unfold.Model, changes: Changes) -> dict[str, Mapping[str, Any]]:
    """Return the sections with changes, and the data where it names a file: its place changes."""
    names = {path[0] for path in changes.settings}
    found: dict[str, Mapping[str, Any]] = {}
    for name in sorted(names):
        if changed := section(model, name, changes):
            found[name] = changed.tree
    data = section(model, "data", changes)
    if data and isinstance(text := data.tree.get("text"), dict) and "file" in text:
        home = Path(model.spec.file).parent
        found["data"] = {**data.tree, "text": {"file": str((home / str(text["file"])).resolve())}}
    return found
