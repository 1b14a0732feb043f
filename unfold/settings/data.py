"""The section `data`: from plain YAML values to checked settings, one model per family of sources.

    data: {text: {file: novel.txt}, input: x, target: y, batch: 16}
    data: {series: co2, inputs: {x: co2}, targets: {y: co2}, batch: 8, validation: 0.2}
    data: {task: {copy: {delay: 50}}, inputs: {x: symbol, y: target}}

The first key says the family; `docs/data.md` has them all with an example each.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import get_annotations
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, field_validator

from unfold.errors import Diagnostic, SpecError
from unfold.settings.model import MAX_SEED, Expected, Forms, Named, Settings, show
from unfold.settings.read import read
from unfold.settings.tasks import TASKS
from unfold.spec.file.model import Section

Batch = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Name = Annotated[str, Field(min_length=1)]


class Pydoc(Settings):
    """The text of CPython's `pydoc_data.topics`: about 700 kB of English on every machine."""

    pydoc: Literal[True] = True


class TextFile(Settings):
    """A UTF-8 file; the path is relative to the spec."""

    file: Name


class TextString(Settings):
    """The text itself."""

    string: str


class SeriesFile(Settings):
    """A CSV file with a header; `separator` stands between its columns."""

    file: Name
    separator: str = Field(default=",", min_length=1, max_length=1)


class BuiltIn(Settings):
    """Something that comes with the package, by its name."""

    name: str

    @classmethod
    def of(cls, name: str) -> BuiltIn:
        """Return what has the name."""
        return cls(name=name)


class File(Settings):
    """A file; the path is relative to the spec."""

    file: Name


class ImageFile(Settings):
    """An NPZ or safetensors file with images [N, height, width(, channels)] and their classes."""

    file: Name
    image: Name = "image"
    label: Name = "label"


class ImageFolder(Settings):
    """A folder with one folder of PNG files per class."""

    folder: Name


Series = Literal["sunspots", "co2"]
SERIES: tuple[str, ...] = get_args(Series)
TextSource = Annotated[
    Pydoc | TextFile | TextString,
    Forms(
        "pydoc, {file: novel.txt} or {string: hello}",
        Annotated[Literal["pydoc"], AfterValidator(lambda _: Pydoc())]
        | Pydoc
        | TextFile
        | TextString,
    ),
]
LineSource = Annotated[TextFile | TextString, Forms("{file: names.txt} or {string: hello}")]
TaskSource = Annotated[Any, Named(TASKS, "{copy: {delay: 50}}")]
SeriesSource = Annotated[
    BuiltIn | SeriesFile,
    Forms(
        f"{', '.join(SERIES)} or {{file: weather.csv}}",
        Annotated[Series, AfterValidator(BuiltIn.of)] | SeriesFile,
    ),
]
SequenceSource = Annotated[
    BuiltIn | File,
    Forms(
        "topics or {file: words.jsonl}",
        Annotated[Literal["topics"], AfterValidator(BuiltIn.of)] | File,
    ),
]
ImageSource = Annotated[
    BuiltIn | ImageFile | ImageFolder,
    Forms(
        "digits, {file: faces.npz} or {folder: pictures}",
        Annotated[Literal["digits"], AfterValidator(BuiltIn.of)] | ImageFile | ImageFolder,
    ),
]
COLUMNS = "a column or a list of columns"
AHEAD = "a number of steps, or a list of them as in [1, 2, 3]"
Columns = Annotated[
    str | tuple[str, ...],
    Forms(
        COLUMNS,
        Name | Annotated[list[Name], Field(min_length=1), Expected(COLUMNS), AfterValidator(tuple)],
    ),
]
Steps = Annotated[int, Field(ge=0)]
Ahead = Annotated[
    int | tuple[int, ...],
    Forms(
        AHEAD,
        Steps | Annotated[list[Steps], Field(min_length=1), Expected(AHEAD), AfterValidator(tuple)],
    ),
]
Validation = Annotated[
    Steps | Annotated[float, Field(ge=0, lt=1)],
    Forms("a fraction from 0 to 1 or a whole number"),
]


class TextData(Settings):
    """A text read symbol by symbol, where each one has to predict the next.

    Attributes:
        text: where it comes from.
        input: the category input that gets the symbols.
        target: the category input that gets the symbols one later.
        batch: how many places of the text are read at a time.
        axis: the index axis the symbols lie along.
        level: what one symbol is.
        validation: the share, or number of symbols, at the end that is kept to validate with.
    """

    text: TextSource
    input: Name
    target: Name
    batch: Batch = 16
    axis: Name = "t"
    level: Literal["char", "byte"] = "char"
    validation: Validation = 0


class SeriesData(Settings):
    """Columns of numbers over time.

    Attributes:
        series: a CSV file, `sunspots` or `co2`.
        inputs: by input of the spec, one column or a list of columns.
        targets: the same for what is to be predicted: the columns `ahead` steps later.
        ahead: how many steps; a list of them gives targets that have an axis for it.
        normalise: what is done to every column, fitted on the training part alone.
        missing: what an empty field is; `interpolate` draws a line between its neighbours.
        validation: the share, or number of steps, at the end that is kept to validate with.
        batch: how many places are read at a time, or how many windows there are in a batch.
        axis: the index axis that is time.
        stride: if given, every window of the axis's extent that begins at a multiple of it is a
            sequence by itself; otherwise the state may go on from one to the next.
        seed: of the order of windows.
    """

    series: SeriesSource
    inputs: dict[str, Columns] = Field(min_length=1)
    targets: dict[str, Columns] = Field(default={})
    ahead: Ahead = 1
    normalise: Literal["standard", "range", "none"] = "standard"
    missing: Literal["error", "interpolate"] = "error"
    validation: Validation = 0
    batch: Batch = 16
    axis: Name = "t"
    stride: int | None = Field(default=None, ge=1)
    seed: Seed = 0

    @property
    def many(self) -> int:
        """The number of targets of a step."""
        return len(self.ahead) if isinstance(self.ahead, tuple) else 1


class SetData(Settings):
    """What all sets of sequences have in common.

    Attributes:
        batch: sequences per batch.
        seed: of the order, and of which sequences are kept to validate with.
        validation: the share, or number, of sequences that are kept to validate with.
        order: in which they come.
        bucket: how many batches of a shuffled epoch are sorted by length together, so that a batch
            holds sequences of similar length; 1 does not sort.
    """

    batch: Batch = 16
    seed: Seed = 0
    validation: Validation = 0
    order: Literal["shuffled", "given"] = "shuffled"
    bucket: int = Field(default=20, ge=1)


class LinesData(SetData):
    """A text with one sequence per line, where each symbol has to predict the next.

    Attributes:
        lines: where the text comes from.
        input: the category input that gets the end of a line, and then the line.
        target: the category input that gets the line, and then its end.
        axis: the index axis the symbols lie along.
        level: what one symbol is.
    """

    lines: LineSource
    input: Name
    target: Name
    axis: Name = "t"
    level: Literal["char", "byte"] = "char"


class ArraysData(SetData):
    """Arrays [N, *extents, *shape] of a NPZ or safetensors file.

    Attributes:
        arrays: the file.
        inputs: by input of the spec, the name of its array; default: the same name.
        lengths: by axis, the name of the array that has the length of each sequence.
    """

    arrays: File
    inputs: dict[str, Name] = Field(default={})
    lengths: dict[str, Name] = Field(default={})


class SequencesData(SetData):
    """One JSON object per line, whose values are numbers, words, or lists of them.

    Attributes:
        sequences: a file, or `topics`, snippets of Python's own help.
        inputs: by input of the spec, the key of the object; default: the same name.
    """

    sequences: SequenceSource
    inputs: dict[str, Name] = Field(default={})


class ImagesData(SetData):
    """Images with classes.

    Attributes:
        images: `digits`, a file of arrays, or a folder of PNG files.
        layout: `rows` is a vector per row, `pixels` one value after the other, `grid` a value per
            point (i, j), `whole` one matrix.
        patch: the side of the squares of pixels that are one point of a grid, or one step of
            pixels; each is a vector.
        inputs: by input of the spec: `image`, `label`, `caption` or `name`; default: the same name.
    """

    images: ImageSource
    layout: Literal["rows", "pixels", "grid", "whole"] = "rows"
    patch: int = Field(default=1, ge=1)
    inputs: dict[str, Name] = Field(default={})


class TaskData(SetData):
    """Sequences that are made up by a rule.

    Attributes:
        task: which, and its constants.
        inputs: by input of the spec, the field of the task; default: the same name.
        count: the number of sequences in an epoch; by default every batch is made anew.
    """

    task: TaskSource
    inputs: dict[str, Name] = Field(default={})
    count: int | None = Field(default=None, ge=1)

    @field_validator("validation")
    @classmethod
    def _whole(cls, value: object) -> object:
        if isinstance(value, float) and value:
            raise ValueError(f"expected a number of sequences, got {show(value)}")
        return value


class RandomData(Settings):
    """One fixed batch of random inputs: normal numbers and uniform categories."""

    random: Literal[True] = True
    seed: Seed = 0
    batch: Batch = 4


DataSettings = (
    TextData
    | LinesData
    | SeriesData
    | ArraysData
    | SequencesData
    | ImagesData
    | TaskData
    | RandomData
)
FAMILIES: dict[str, type[Settings]] = {
    next(iter(get_annotations(kind))): kind for kind in get_args(DataSettings)
}
"""By the key that says where data come from: the first one of each model."""


def family(tree: Mapping[str, Any]) -> str | None:
    """Return the key of `data` that says where data come from."""
    return next((key for key in FAMILIES if key in tree), None)


def read_data(section: Section) -> DataSettings:
    """Check the section `data`; raises `SpecError` with a diagnostic for every mistake."""
    name = family(section.tree)
    if name is None:
        known = ", ".join(FAMILIES)
        message = "data does not name a source"
        help = f"add one of the keys {known}; docs/data.md has an example of each"
        raise SpecError(Diagnostic(message, section.locate_key(()), help=help))
    kind: Any = FAMILIES[name]
    return read(kind, "data", section)
