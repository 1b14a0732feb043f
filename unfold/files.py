"""Files of folders that others may have written: a run that was sent, a shared cache.

    open_regular(folder / "metrics.jsonl", os.O_RDWR | os.O_CREAT)     a descriptor, or DataError
    checked(read_object(file), Run, file)                              a checked value, or DataError
    write_whole(folder / "loss.svg", content)                          complete, or not there at all
    remove(folder / ".x.12.partial")                                   never what a link leads to

A name in such a folder may be a symbolic link to any file of the user, a pipe that waits for ever,
or text that none of our programs has written. These functions open only regular files, and follow
no links; the path of the folder itself is the user's own and may lead through links. JSON has a
bounded size, and its types are checked. Everything works on systems without the flags of POSIX.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from unfold.errors import DataError

if TYPE_CHECKING:
    from pydantic import BaseModel

Checked = TypeVar("Checked", bound="BaseModel")

MAX_JSON = 64 * 2**20  # bytes: what names of symbols and equations may take
# A link is refused, a pipe does not wait, and nothing is inherited or translated.
SAFELY = sum(
    getattr(os, name, 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
)
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(path: Path) -> str | None:
    """Return the kind of a path in words: "a regular file", "a symbolic link", …; None for nothing.

    >>> kind_of(Path(__file__).parent)
    'a folder'
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return None
    return next((words for is_kind, words in KINDS if is_kind(mode)), "a regular file")


def is_regular(path: Path) -> bool:
    """Tell whether a path is a regular file, and not a link to one."""
    return kind_of(path) == "a regular file"


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder, and not a link to one."""
    return kind_of(path) == "a folder"


def require_regular(path: Path) -> None:
    """Refuse a path that exists and is not a regular file.

    Raises:
        DataError: a link, a folder, a pipe or a device has this path.
    """
    kind = kind_of(path)
    if kind not in (None, "a regular file"):
        raise DataError(
            f"{path} is {kind}, but must be a regular file\n"
            "  help: remove it, or put a copy of the file in its place"
        )


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file, never of the target of a link.

    Arguments:
        path: of the file.
        flags: of `os.open`.

    Raises:
        DataError: a link, a folder, a pipe or a device has this path.
        OSError: it cannot be opened; FileNotFoundError if it is missing.
    """
    require_regular(path)
    try:
        handle = os.open(path, flags | SAFELY, 0o644)
    except OSError:
        require_regular(path)  # it may have become a link between the two
        raise
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and os.path.samestat(found, path.lstat()):
        return handle
    os.close(handle)
    require_regular(path)
    raise DataError(f"{path} is not a regular file")


def open_log(path: Path) -> TextIO:
    """Open a file to append lines, or create it if it is missing.

    A file with a second name (a hard link) becomes a copy first, so that the file of the other
    name does not change.

    Raises:
        DataError: a link, a folder, a pipe or a device has this path.
        OSError: it cannot be opened.
    """
    if is_regular(path) and path.lstat().st_nlink > 1:
        write_whole(path, path.read_bytes())
    handle = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return os.fdopen(handle, "a", encoding="utf-8", newline="\n")


def read_regular(path: Path, limit: int = MAX_JSON) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        DataError: it is not one, or is larger than `limit`.
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path} is larger than {limit:,} bytes")
    return content


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        document = parse_json(read_regular(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {explain(error)}") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        found = "nothing" if document is None else f"a {type(document).__name__}"
        raise DataError(f"{path}: expected an object with keys, found {found}")
    return cast("dict[str, Any]", document)


def checked(document: Mapping[str, Any], schema: type[Checked], path: Path) -> Checked:
    """Return the object of a JSON file as an instance of a model of pydantic.

    Raises:
        DataError: a key has a wrong type; names the file and the key.
    """
    from pydantic import ValidationError

    try:
        return schema.model_validate(document, strict=True)
    except ValidationError as error:
        raise DataError(f"{path}: {_first(error.errors()[0])}") from None


def _first(mistake: Any) -> str:
    """Return the place of a mistake, the expected and the found value."""
    key = ".".join(str(part) for part in mistake["loc"]) or "the whole"
    found = repr(mistake["input"])
    found = found if len(found) <= 60 else f"{found[:57]}..."
    message = mistake["msg"][:1].lower() + mistake["msg"][1:]
    return f"{key}: {message}, got {found}" if mistake["type"] != "missing" else f"{key} is missing"


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it when it is complete."""
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    remove(partial)
    try:
        with partial.open("xb") as handle:  # a new file, even if something else has its name
            handle.write(data)
        flush(partial)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its content, but never the target of a link."""
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Make sure that bytes are on the disk, before the rename that declares them whole.

    Folders are flushed if the system can do it; the rename itself is then on the disk.
    """
    folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    except PermissionError:
        if folder:  # Windows opens no folders
            return
        raise
    try:
        os.fsync(handle)
    except OSError:
        if not folder:  # some file systems flush no folders
            raise
    finally:
        os.close(handle)


def explain(error: OSError) -> str:
    """Return the message of an operating system, without a capital."""
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]
