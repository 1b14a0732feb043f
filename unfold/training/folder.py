"""A run's folder: made once, used by one process at a time, every file written whole.

    runs/char-rnn-3/  spec.yaml  metrics.jsonl  sessions.jsonl  checkpoint/  loss.svg  sample.txt
                      graph-folded.svg  graph-unfolded.svg  events.out.tfevents.…

Folders are numbered per name. A folder appears under its name together with its spec.yaml, and a
file only when it is complete; what a killed process leaves behind is hidden and ends with
`.partial`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unfold.errors import DataError
from unfold.training.checkpoint import flush

try:
    import fcntl
except ImportError:  # not on Windows; there nothing keeps two processes from one folder
    fcntl = None

LOCK = ".lock"


def create_run_folder(
    root: Path, name: str, write: Callable[[Path], None] = lambda _: None
) -> Path:
    """Make the next free `root/NAME-N` and return it; two runs at once get different ones.

    Arguments:
        root: where run folders go.
        name: of the spec; what is not fit for a folder's name is left out.
        write: puts the first files into the folder, before it gets its name.

    Raises:
        DataError: where no folder can be made there.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-")[:80] or "run"
    partial = root / f".{stem}.{os.getpid()}.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
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
            f"cannot make a run folder in {root}: {explain(error)}\n"
            "  help: choose another place with --runs FOLDER"
        ) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder; the lock ends with the process, however it ends.

    Raises:
        DataError: another process is using the folder, or it cannot be written to.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {explain(error)}") from None
    try:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(handle, 20).decode(errors="replace").strip() or "another process"
                raise DataError(
                    f"{folder} is in use by process {owner}\n"
                    "  help: wait until it has ended, or stop it with Ctrl-C"
                ) from None
            except OSError:  # a file system without locks
                pass
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        for left in (*folder.glob(".*.partial"), *folder.glob("checkpoint/.*.partial")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # stdout, which is no file of the run
            raise
        raise write_error(error, folder) from None
    finally:
        os.close(handle)


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and rename it when it is complete."""
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        flush(partial)
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_error(error: OSError, folder: Path) -> DataError:
    """Return the error for a file of a run that could not be written, and how to go on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        fix = "make room"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = "make the folder writable"
    else:
        fix = "mend that"
    kept = sorted(p.name for p in (folder / "checkpoint").glob("*") if p.name.isdigit())
    state = f"the last checkpoint is {kept[-1]}" if kept else "there is no checkpoint yet"
    where = Path(str(error.filename)).name if error.filename else "a file"
    return DataError(
        f"cannot write {where} in {folder}: {explain(error)}\n"
        f"  {state}\n"
        f"  help: {fix}, then go on with  unfold run --resume {folder}"
    )


def explain(error: OSError) -> str:
    """Return an operating system's words, without a capital."""
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]
