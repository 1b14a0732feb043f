"""Mistakes in data: their origin in the spec, and their place in the file.

Every message is a `DataError` that shows the key of `data` that leads there, names the file with
row and column (or array and index), and gives the found value and a fix. Without a spec, as when
data are made in Python, the place in the spec is left out.

    specs/weather.yaml:20:17: weather.csv, line 17, column pressure: "n/a" is not a number
       20 | data: {series: {file: weather.csv}, ...}
          |                       ^^^^^^^^^^^
      help: mend the file, or fill gaps with  missing: interpolate
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from unfold.core.bytes import may_be_taken, show_size
from unfold.errors import DataError, Diagnostic
from unfold.spec.file.model import KeyPath, Section

MAX_BYTES = 1 << 30
MAX_NAMED = 12
TEXT_COPIES = 32
"""Bytes for every byte of a text: it is decoded, sorted and numbered, or becomes Python objects."""
RELATIVE = "a path is relative to the spec's folder"


def data_error(section: Section, at: KeyPath, message: str, help: str | None = None) -> DataError:
    """Make the error for a mistake in `data`, shown at a key or value of that section."""
    return DataError(Diagnostic(message, section.locate(at), help=help))


def names(found: Iterable[str]) -> str:
    """List names, the first dozen."""
    every = list(found)
    more = f" and {len(every) - MAX_NAMED} more" if len(every) > MAX_NAMED else ""
    return ", ".join(every[:MAX_NAMED]) + more if every else "none"


def suggest(word: str, known: Iterable[str], what: str) -> str:
    """Return the nearest name, or all of them."""
    every = list(known)
    close = get_close_matches(word, every, n=1)
    return f"did you mean {close[0]}?" if close else f"{what}: {names(every)}"


def read_bytes(path: str, section: Section, at: KeyPath, folder: Path) -> tuple[Path, bytes]:
    """Return a file of the user, and its content.

    Arguments:
        path: as the user wrote it.
        section: the section `data`.
        at: the key that names the file.
        folder: what a path is relative to.

    Raises:
        DataError: the file is missing, empty, too large or unreadable.
    """
    file = folder / path
    relative = None if section.locate(at) is None else RELATIVE
    try:
        if not file.is_file():
            raise data_error(section, at, f"{file} is not a file", relative)
        if file.stat().st_size > MAX_BYTES:
            raise data_error(section, at, f"{file} is larger than {MAX_BYTES:,} bytes")
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        raise data_error(section, at, f"cannot read {file}: {error}", relative) from None
    if not content:
        raise data_error(section, at, f"{file} is empty")
    return file, content


def read_utf8(path: str, section: Section, at: KeyPath, folder: Path) -> tuple[Path, str]:
    """Return a text file of the user, and its text with the byte order mark left out.

    Raises:
        DataError: as `read_bytes`, or the file is not UTF-8.
    """
    file, content = read_bytes(path, section, at, folder)
    require_room(TEXT_COPIES * len(content), f"what {file} says", section, at)
    try:
        return file, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is {error.object[error.start]:#04x}"
        message = f"{file} is not UTF-8 text: {found}"
        raise data_error(section, at, message, "convert the file to UTF-8") from None


def require_room(needed: int, what: str, section: Section, at: KeyPath) -> None:
    """Refuse data that would not fit into the free memory, before they are unpacked.

    Arguments:
        needed: bytes, with all copies that are made on the way.
        what: the object that would need them.
        section: the section `data`.
        at: the key that names the data.

    Raises:
        DataError: the bytes are not free.
    """
    free = may_be_taken()
    if needed > free:
        message = (
            f"{what} needs {show_size(needed)} of memory, but only {show_size(free)} may be used"
        )
        raise data_error(section, at, message, "use less data at a time, or smaller data")


def unwritable(value: object) -> str | None:
    """Return the first half of a surrogate pair in a text, or a list of texts; None without.

    JSON may have such halves, and names of files that are not UTF-8 become them; no file could hold
    what is made of them. `"a\\ud800"` gives `\\ud800`.
    """
    if isinstance(value, list):
        return next((bad for v in value if (bad := unwritable(v)) is not None), None)
    if not isinstance(value, str) or value.isascii():
        return None
    half = next((c for c in value if "\ud800" <= c <= "\udfff"), None)
    return None if half is None else f"\\u{ord(half):04x}"


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; they end with \\n, \\r\\n or \\r, as on any system."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
