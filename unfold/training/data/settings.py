"""The section `data`: from plain YAML values to checked settings.

data: {text: {file: novel.txt}, input: x, target: y, batch: 16}
data: {random: true, batch: 8}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from unfold.training.sections import MAX_SEED, Section, Settings, only_key, validate


class Pydoc(Settings):
    """The text of CPython's `pydoc_data.topics`: about 700 kB of English on every machine."""

    pydoc: Literal[True] = True


class TextFile(Settings):
    """A UTF-8 file; the path is relative to the spec."""

    file: str = Field(min_length=1)


class TextString(Settings):
    """The text itself."""

    string: str


def _read_text(value: object) -> object:
    return {"pydoc": True} if value == "pydoc" else value


TextSource = Annotated[
    Annotated[Pydoc, Tag("pydoc")]
    | Annotated[TextFile, Tag("file")]
    | Annotated[TextString, Tag("string")],
    Discriminator(only_key("pydoc", "file", "string")),
    BeforeValidator(_read_text),
]
ALTERNATIVES = {"text": "pydoc, {file: novel.txt} or {string: hello}"}


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


def read_data(section: Section) -> TextData | RandomData:
    """Check the section `data`; raises `SpecError` with a diagnostic for every mistake."""
    kind = RandomData if "random" in section.tree else TextData
    return validate(kind, "data", section, alternatives=ALTERNATIVES)
