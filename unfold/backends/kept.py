"""The folders of compiled kernels: one that the store made and marked, and the user's own.

    $UNFOLD_CACHE/kernels/CACHEDIR.TAG      marks it as made by unfold
                          k3f2…/            an entry: k and 64 hexadecimal digits
                          k3f2….lock        held while a process makes or removes the entry

The files run as machine code. The store therefore refuses folders and entries that belong to
another user, that others may write to, or that lie behind a link; the user then gets a separate
folder beside it. It removes only entries and locks, by their names, in a marked folder. If there
is no place at all, it stores nothing and warns. All backends store their kernels here.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import lock_descriptor

from unfold.errors import DataError
from unfold.files import explain, is_folder, is_regular, kind_of, open_regular, read_regular, remove

TAG = "CACHEDIR.TAG"  # https://bford.info/cachedir: programs that make copies leave it out
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Compiled kernels, made by unfold.\n"
ENTRY = re.compile(r"k[0-9a-f]{64}")
LOCK = re.compile(r"k[0-9a-f]{64}\.lock")
OTHERS = 0o022  # the bits that let a group and everybody write
POLL = 0.01  # seconds between two looks at a lock that somebody holds
LIMIT = 500 * 2**20  # bytes of all entries
CHECKS = "checksums.json"  # of an entry; touched when it is used
ADVICE = "Set UNFOLD_CACHE to a folder of your own"


@cache
def kernels() -> Path | None:
    """Return the folder of kernels, made and marked; None, with a warning, if there is none."""
    base = _base()
    if base is None:
        return _nowhere("there is no home folder")
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = base / "kernels"
        if _claim(first):
            return first
        if hasattr(os, "geteuid"):
            own = base / f"kernels-{os.geteuid()}"
            is_new = kind_of(own) is None
            if _claim(own):
                if is_new:
                    warnings.warn(f"{_why_not(first)}; yours go to {own}", stacklevel=2)
                return own
    except OSError as error:
        return _nowhere(f"cannot write to {base}: {explain(error)}")
    return _nowhere(_why_not(first))


def _base() -> Path | None:
    """Return $UNFOLD_CACHE or the user's folder for caches, if there is one."""
    given = os.environ.get("UNFOLD_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    try:
        found = user_cache_path("unfold", appauthor=False)
    except RuntimeError:  # nobody knows this user; older versions leave the "~"
        return None
    return found if found.is_absolute() else None


def _nowhere(reason: str) -> None:
    warnings.warn(
        f"{reason}; compiled kernels are not stored, so every run compiles them again. {ADVICE}",
        stacklevel=3,
    )


def _claim(folder: Path) -> bool:
    """Make and mark a folder if it is missing; tell whether it is one of ours."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not is_own(folder):
        return False
    tag = folder / TAG
    with suppress(FileExistsError):
        if kind_of(tag) is None and not any(folder.iterdir()):
            with tag.open("xb") as file:
                file.write(SIGNATURE)
    try:
        return read_regular(tag).startswith(SIGNATURE)
    except (FileNotFoundError, DataError):
        return False


def _why_not(folder: Path) -> str:
    """Return why a folder is not used."""
    if not is_folder(folder):
        return f"{folder} is {kind_of(folder)}"
    if is_own(folder):
        return f"{folder} holds files that unfold did not write"
    found = status(folder)
    if found.st_uid != os.geteuid():
        return f"the kernels in {folder} belong to another user"
    return f"others may write to {folder}"


def is_own(folder: Path) -> bool:
    """Tell whether a path is a folder to which only this user may write."""
    if not is_folder(folder):
        return False
    if not hasattr(os, "geteuid"):  # Windows keeps the folders of its users apart
        return True
    found = status(folder)
    return found.st_uid == os.geteuid() and not found.st_mode & OTHERS


def status(path: Path) -> os.stat_result:
    """Return the status of a path itself, not of the target of a link."""
    return path.lstat()


def entries() -> list[tuple[Path, int, float]]:
    """Return (folder, bytes, time of last use) of every entry, the oldest first."""
    found: list[tuple[Path, int, float]] = []
    for folder in _named(ENTRY):
        if is_folder(folder):
            with suppress(OSError):
                size = sum(f.lstat().st_size for f in folder.rglob("*") if is_regular(f))
                file = folder / CHECKS
                used = (file if is_regular(file) else folder).stat().st_mtime
                found.append((folder, size, used))
    return sorted(found, key=lambda e: e[2])


def _named(pattern: re.Pattern[str]) -> list[Path]:
    place = kernels()
    return [p for p in place.iterdir() if pattern.fullmatch(p.name)] if place is not None else []


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of an entry; yield whether it is held, which is false only without waiting."""
    path = _lock_of(folder)
    while True:
        handle = open_regular(path, os.O_RDWR | os.O_CREAT)
        try:
            try:
                held = lock_descriptor(handle, blocking=wait, poll_interval=POLL)
            except OSError:  # a file system without locks: an entry may be made twice
                yield True
                return
            if not held or _is_same(handle, path):  # not removed while this waited
                yield held
                return
        finally:
            os.close(handle)


def _lock_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.lock"


def _is_same(file: int, path: Path) -> bool:
    """Whether an open file is the file at a path."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file), path.lstat())
    return False


def clear() -> tuple[int, int]:
    """Remove every entry that is not in use; return their number and their bytes."""
    removed = [size for folder, size, _ in entries() if discard(folder)]
    discard_locks()
    return len(removed), sum(removed)


def discard(folder: Path) -> bool:
    """Remove an entry and its lock, unless another process is making the entry.

    An entry also stays if its lock is a link or anything else that the store did not make.
    """
    if kind_of(_lock_of(folder)) not in (None, "a regular file"):
        return False
    with locked(folder, wait=False) as held:
        if held:
            with suppress(OSError):
                remove(folder)
            with suppress(OSError):  # Windows keeps files that are open
                _lock_of(folder).unlink(missing_ok=True)
        return held


def discard_locks() -> None:
    """Remove the locks of entries that are gone."""
    for lock in _named(LOCK):
        if is_regular(lock) and not lock.with_suffix("").exists():
            discard(lock.with_suffix(""))
