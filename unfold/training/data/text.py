"""Texts as integers: reading what `data: {text: ...}` names, and its vocabulary.

The vocabulary is the distinct characters of the text in order of code point, so the same text gives
the same integers everywhere. Nothing is downloaded: the built-in text is part of CPython.

    Text.of("hello")  →  vocabulary "ehlo", codes [1, 0, 2, 2, 3]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unfold.errors import DataError, Diagnostic
from unfold.training.data.settings import Pydoc, TextData, TextFile
from unfold.training.sections import KeyPath, Section

Array = np.ndarray
MAX_BYTES = 1 << 30
RELATIVE = "a path is relative to the spec's folder"


@dataclass(frozen=True)
class Text:
    """A text as integers: symbol `vocabulary[codes[i]]` is its character i."""

    vocabulary: str
    codes: Array

    @classmethod
    def of(cls, text: str) -> Text:
        """Encode a text by its own vocabulary."""
        points = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
        distinct, codes = np.unique(points, return_inverse=True)
        return cls("".join(map(chr, distinct)), codes.astype(np.int64))

    def encode(self, text: str) -> Array:
        """Return the codes of another text of the same vocabulary.

        Raises:
            DataError: for a character that never occurs in this text.
        """
        unknown = sorted(set(text) - set(self.vocabulary))
        if unknown:
            raise DataError(f"the training text has no character {unknown[0]!r} to start from")
        return np.array([self.vocabulary.index(c) for c in text], dtype=np.int64)

    def decode(self, codes: Array) -> str:
        """Return the text of an array of codes."""
        return "".join(self.vocabulary[c] for c in codes)


def read_text(settings: TextData, section: Section, folder: Path) -> Text:
    """Read and encode the text that `data` names.

    Arguments:
        settings: the checked section.
        section: the section itself, for the place of a mistake.
        folder: where the spec is; a file's path is relative to it.

    Raises:
        DataError: for a file that cannot be read or an empty text.
    """
    source = settings.text
    if isinstance(source, Pydoc):
        text = _pydoc_text()
    elif isinstance(source, TextFile):
        text = _file_text(source.file, section, folder)
    else:
        text = source.string
    if len(text) < 2:
        raise data_error(section, ("text",), "the text is too short: no character follows another")
    return Text.of(text)


def data_error(section: Section, at: KeyPath, message: str, help: str | None = None) -> DataError:
    """Make the error for a mistake in `data`, shown at a key or value of that section."""
    return DataError(str(Diagnostic(message, section.locate(at), help=help)))


def _pydoc_text() -> str:
    from pydoc_data import topics

    return "".join(topics.topics[name] for name in sorted(topics.topics))


def _file_text(path: str, section: Section, folder: Path) -> str:
    where, file = ("text", "file"), folder / path
    try:
        if not file.is_file():
            raise data_error(section, where, f"{file} is not a file", RELATIVE)
        if file.stat().st_size > MAX_BYTES:
            raise data_error(section, where, f"{file} is larger than {MAX_BYTES:,} bytes")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is {error.object[error.start]:#04x}"
        message = f"{file} is not UTF-8 text: {found}"
        raise data_error(section, where, message, "convert the file to UTF-8") from None
    except (OSError, ValueError) as error:
        raise data_error(section, where, f"cannot read {file}: {error}", RELATIVE) from None
