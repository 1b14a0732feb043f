"""The sections `data`, `train` and `generate`: from plain YAML values to checked settings.

A `Section` is what the front end hands over: nested dicts, lists and scalars, and where each of
them is in the file. Out come frozen settings with every default filled in, or one `SpecError` with
a diagnostic for each independent mistake, at the offending key or value. pydantic finds the
mistakes; the words are ours.

    data: {text: {file: novel.txt}, input: x, target: y, batch: 16}
    train: {steps: 2000, optimizer: {adam: {rate: 0.002}}, clip: {norm: 5}}
    generate: {length: 300, temperature: 0.7}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from unfold.errors import Diagnostic, Location, SpecError
from unfold.training.optimizers import OPTIMIZERS, Adam, Optimizer

KeyPath = tuple[str | int, ...]
Mode = str | tuple[str, float]
MAX_SEED = 2**63 - 1
MAX_SHOWN = 60


class Section(Protocol):
    """One section of a spec file, as the front end gives it."""

    @property
    def tree(self) -> Mapping[str, Any]:
        """The values."""
        ...

    @property
    def locate(self) -> Callable[[KeyPath], Location]:
        """From a path of keys and positions to the place of that value, or of its known part."""
        ...

    @property
    def locate_key(self) -> Callable[[KeyPath], Location]:
        """The same for the key rather than its value."""
        ...


class Settings(BaseModel):
    """The common rules: nothing unknown, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)


class Pydoc(Settings):
    """The text of CPython's `pydoc_data.topics`: about 700 kB of English on every machine."""

    pydoc: Literal[True] = True


class TextFile(Settings):
    """A UTF-8 file; the path is relative to the spec."""

    file: str = Field(min_length=1)


class TextString(Settings):
    """The text itself."""

    string: str


class ClipNorm(Settings):
    """Scale all gradients down together to this norm."""

    norm: float = Field(gt=0, allow_inf_nan=False)


class ClipValue(Settings):
    """Cut every gradient entry to this size."""

    value: float = Field(gt=0, allow_inf_nan=False)


def _read_text(value: object) -> object:
    return {"pydoc": True} if value == "pydoc" else value


def _only_key(value: object) -> str | None:
    """Return the key that says which alternative a mapping is; None makes the error."""
    if isinstance(value, Mapping):
        return next((k for k in value if k in ALTERNATIVES), None)
    return None


def _read_mode(value: object) -> Mode:
    if isinstance(value, Mapping) and list(value) == ["scheduled"]:
        probability = value["scheduled"]
        if isinstance(probability, int | float) and 0 <= probability <= 1:
            return ("scheduled", float(probability))
        raise ValueError(f"expected a probability from 0 to 1, got {_show(probability)}")
    if value not in ("teacher", "free"):
        raise ValueError(f"expected teacher, free or {{scheduled: 0.5}}, got {_show(value)}")
    return str(value)


def _read_optimizer(value: object) -> Optimizer:
    """Read `adam` or `{adam: {rate: 0.01}}`."""
    name, constants = value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, constants),) = value.items()
    rule = OPTIMIZERS.get(name) if isinstance(name, str) else None
    if rule is None:
        known = ", ".join(OPTIMIZERS)
        raise ValueError(
            f"expected one of {known}, or {{adam: {{rate: 0.01}}}}, got {_show(value)}"
        )
    allowed = [f.name for f in fields(rule)]
    if not isinstance(constants, Mapping):
        raise ValueError(f"expected the constants of {name} as a mapping, got {_show(constants)}")
    for key, number in constants.items():
        if key not in allowed:
            message = f"{name} has no constant {key!r}, only {', '.join(allowed)}"
            raise PydanticCustomError(
                "constant", "{message}", {"message": message, "path": (name, key)}
            )
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{key} must be a number, got {_show(number)}")
    return rule(**constants)


TextSource = Annotated[
    Annotated[Pydoc, Tag("pydoc")]
    | Annotated[TextFile, Tag("file")]
    | Annotated[TextString, Tag("string")],
    Discriminator(_only_key),
    BeforeValidator(_read_text),
]
Clip = Annotated[
    Annotated[ClipNorm, Tag("norm")] | Annotated[ClipValue, Tag("value")], Discriminator(_only_key)
]
ALTERNATIVES = {"pydoc", "file", "string", "norm", "value"}
TAGGED = {"text": "pydoc, {file: novel.txt} or {string: hello}", "clip": "{norm: 5} or {value: 5}"}


class TextData(Settings):
    """A text read character by character, where each one has to predict the next.

    Attributes:
        text: where it comes from.
        input: the category input that gets the characters.
        target: the category input that gets the characters one later.
        batch: how many places of the text are read at a time.
        axis: the index axis the characters lie along.
        level: what one symbol is.
    """

    text: TextSource
    input: str
    target: str
    batch: int = Field(default=16, ge=1)
    axis: str = "t"
    level: Literal["char"] = "char"


class RandomData(Settings):
    """One fixed batch of random inputs: normal numbers and uniform categories."""

    random: Literal[True] = True
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    batch: int = Field(default=4, ge=1)


class TrainSettings(Settings):
    """How to train.

    Attributes:
        steps: number of updates.
        optimizer: its name, or `{name: {constant: value}}`.
        clip: how gradients are clipped, if at all.
        carry: whether the state goes on from one chunk of a text to the next.
        seed: of the initial parameters and of everything drawn while training.
        save: steps between checkpoints.
        mode: which branch of an output feedback is in force.
    """

    steps: int = Field(default=1000, ge=1)
    optimizer: Annotated[Any, BeforeValidator(_read_optimizer)] = Adam()
    clip: Clip | None = None
    carry: bool = True
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    save: int = Field(default=500, ge=1)
    mode: Annotated[Any, BeforeValidator(_read_mode)] = "teacher"


class GenerateSettings(Settings):
    """How a language model writes after training.

    Attributes:
        length: number of characters.
        temperature: divides the logits; below 1 the sample is more careful, above 1 wilder.
        prime: text that is read first; empty starts from the first character of the data.
        seed: of the draws.
    """

    length: int = Field(default=300, ge=1)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    prime: str = ""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)


S = TypeVar("S", bound=Settings)


def read_data(section: Section) -> TextData | RandomData:
    """Check the section `data`; raises `SpecError` with a diagnostic for every mistake."""
    kind = RandomData if "random" in section.tree else TextData
    return _validate(kind, "data", section)


def read_train(section: Section) -> TrainSettings:
    """Check the section `train`; raises `SpecError` with a diagnostic for every mistake."""
    return _validate(TrainSettings, "train", section)


def read_generate(section: Section) -> GenerateSettings:
    """Check the section `generate`; raises `SpecError` with a diagnostic for every mistake."""
    return _validate(GenerateSettings, "generate", section)


def _validate(kind: type[S], name: str, section: Section) -> S:
    try:
        return kind.model_validate(dict(section.tree))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        misspelt = {
            match
            for e in errors
            if e["type"] == "extra_forbidden"
            for match in get_close_matches(str(e["loc"][-1]), kind.model_fields, n=1)
        }
        found = [
            _diagnostic(kind, name, section, e)
            for e in errors
            if not (e["type"] == "missing" and e["loc"][-1] in misspelt)
        ]
        raise SpecError(*found) from None


def _diagnostic(
    kind: type[Settings], name: str, section: Section, error: ErrorDetails
) -> Diagnostic:
    """Put one of pydantic's errors into our words, at the place it is about."""
    path = _path(error["loc"])
    context = error.get("ctx", {})
    dotted = ".".join(str(p) for p in (name, *path))
    match error["type"]:
        case "extra_forbidden":
            known = list(kind.model_fields) if len(path) == 1 else []
            return Diagnostic(
                f"unknown key {path[-1]!r} in {dotted.rpartition('.')[0]}",
                section.locate_key(path),
                help=_suggest(str(path[-1]), known),
            )
        case "missing":
            return Diagnostic(f"{name} lacks the key {path[-1]!r}", section.locate_key(path[:-1]))
        case "union_tag_not_found" | "union_tag_invalid":
            expected = TAGGED[str(path[-1])]
        case "constant":
            path += tuple(context["path"])
            return Diagnostic(f"{dotted}: {context['message']}", section.locate_key(path))
        case "value_error":
            return Diagnostic(f"{dotted}: {context['error']}", section.locate(path))
        case other:
            expected = _EXPECTED.get(other, "").format(**context) or error["msg"]
            expected = expected.replace("True", "true")
    return Diagnostic(
        f"{dotted}: expected {expected}, got {_show(error['input'])}", section.locate(path)
    )


def _path(parts: KeyPath) -> KeyPath:
    """Drop the tags of alternatives, which pydantic puts after the key that has them."""
    return tuple(p for i, p in enumerate(parts) if i == 0 or parts[i - 1] not in TAGGED)


def _show(value: object) -> str:
    """Print a value as YAML would have it, cut to a readable length."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."


def _suggest(word: str, known: list[str]) -> str | None:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known keys: {', '.join(known)}" if known else None


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_too_short": "at least {min_length} character",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "invalid_key": "a word as the key",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
