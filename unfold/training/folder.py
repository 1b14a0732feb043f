"""A run's folder: made once, used by one process at a time, every file written whole.

    runs/char-rnn-3/  spec.yaml  metrics.jsonl  sessions.jsonl  checkpoint/  loss.svg  sample.txt
                      graph-folded.svg  graph-unfolded.svg  events.out.tfevents.…

Folders are numbered per name. A folder appears under its name together with its spec.yaml, and a
file only when it is complete. A killed process may leave hidden files that end with `.partial`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from unfold.errors import DataError
from unfold.files import FULL, explain, is_folder, open_regular, remove
from unfold.training.checkpoint import numbered

LOCK = ".lock"
LEFT = re.compile(r"\..+\.[0-9]+\.partial")  # left behind by a process that was killed
OWNER = re.compile(rb"\s*[0-9]*\s*")  # the content of a lock: nothing, or a process


def create_run_folder(
    root: Path, name: str, write: Callable[[Path], None] = lambda _: None
) -> Path:
    """Make the next free `root/NAME-N` and return it; two runs at once get different ones.

    Arguments:
        root: where run folders go.
        name: of the spec; characters that do not fit a folder's name are left out.
        write: puts the first files into the folder, before it gets its name.

    Raises:
        DataError: no folder can be created there.
    """
    stem = _stem(name)
    partial = root / f".{stem}.{os.getpid()}.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        remove(partial)
        partial.mkdir()
        write(partial)
        (partial / LOCK).touch()  # a folder with a file in it cannot be renamed over
        pattern = re.compile(re.escape(stem) + r"-(\d+)")
        taken = [int(m[1]) for p in root.iterdir() if (m := pattern.fullmatch(p.name))]
        number = max(taken, default=0) + 1
        while True:
            folder = root / f"{stem}-{number}"
            try:
                partial.rename(folder)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
                number += 1
            else:
                return folder
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(
            f"cannot create a run folder in {root}: {explain(error)}\n"
            "  help: choose another place with --runs FOLDER"
        ) from None


def _stem(name: str) -> str:
    """Return the part of a name that a folder can have, in the encoding of file names."""
    encoding = sys.getfilesystemencoding()
    known = name.encode(encoding, "ignore").decode(encoding, "ignore")
    return re.sub(r"[^\w.-]+", "-", known).strip(".-")[:80] or "run"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder; the lock ends with the process in any case.

    Raises:
        DataError: another process is using the folder, or it cannot be written to.
    """
    try:
        handle = open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {explain(error)}") from None
    try:
        _take(handle, folder)
        for left in (*folder.glob(".*.partial"), *(folder / "checkpoint").glob(".*.partial")):
            if LEFT.fullmatch(left.name):
                remove(left)
        yield
    except OSError as error:
        raise write_error(error, folder) from None
    finally:
        os.close(handle)


def _take(handle: int, folder: Path) -> None:
    """Hold the lock of a folder, and write the owner into it."""
    try:
        held = lock_descriptor(handle, blocking=False)
    except OSError:  # a file system without locks
        held = True
    if not held:
        raise DataError(
            f"{folder} is in use by {_owner(handle)}\n"
            "  help: wait until it ends, or stop it with Ctrl-C"
        )
    if not OWNER.fullmatch(os.read(handle, 64)):
        raise DataError(
            f"{folder / LOCK} is not a lock of unfold: it has other contents\n  help: remove it"
        )
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, f" {os.getpid()}\n".encode())  # Windows lets nobody read the first byte


def _owner(handle: int) -> str:
    """Return the owner of a lock."""
    with suppress(OSError):
        os.lseek(handle, 1, os.SEEK_SET)
        number = os.read(handle, 20).strip()
        if number.isdigit():
            return f"process {number.decode()}"
    return "another process"


def write_error(error: OSError, folder: Path) -> DataError:
    """Return the error for a file of a run that could not be written, with advice to resume."""
    if not is_folder(folder) and not folder.is_symlink():
        return DataError(
            f"{folder} no longer exists: it was moved or removed during the run\n"
            "  its checkpoints moved with it; everything after the last one is lost\n"
            "  help: resume with  unfold run --resume  and its new name"
        )
    if error.errno in FULL:
        fix = "make room"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = "make the folder writable"
    else:
        fix = "fix that"
    kept = [p.name for p in numbered(folder / "checkpoint")]
    state = f"the last checkpoint is {kept[-1]}" if kept else "there is no checkpoint yet"
    where = Path(str(error.filename)).name if error.filename else "a file"
    return DataError(
        f"cannot write {where} in {folder}: {explain(error)}\n"
        f"  {state}\n"
        f"  help: {fix}, then resume with  unfold run --resume {folder}"
    )
