"""The store of compiled kernels: generated modules and their machine code, named by content.

    load(text).address          the C function `block` of a generated module
    load_module(text)           the module itself

A module's name is a hash of everything that decides its machine code: its text, the source of this
folder, the versions of Numba and LLVM, and the processor that it is made for. Its entry holds the
text, Numba's cache of the machine code, and a file of checksums that is written last; an entry
without valid checksums is made anew. Several processes may use the store at once: an entry is made
and removed under a lock of its own. Nobody waits to read one: what is removed meanwhile is made
anew. The least recently used entries are removed where the store grows beyond `kept.LIMIT`.

Where nothing can be kept (no folder, or a full disk), kernels are compiled in memory.
"""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from unfold.backends import kept
from unfold.backends.kept import CHECKS
from unfold.backends.listening import tell
from unfold.errors import BackendError, DataError
from unfold.files import FULL, explain, is_regular, parse_json, read_regular, remove, write_whole

LARGEST = 2**30  # bytes of a file


@dataclass(frozen=True)
class Loaded:
    """A kernel that is ready.

    Attributes:
        address: of its C function.
        compiled: whether it was compiled now; otherwise it came from the store.
        seconds: how long that took.
    """

    address: int
    compiled: bool
    seconds: float


_modules: dict[str, ModuleType] = {}
_compiled: list[str] = []  # names, in the order they were made
_given_up: list[str] = []  # why nothing is kept any more, where that is so


@cache
def _fingerprint() -> bytes:
    """Return a hash of what every kernel depends on."""
    import llvmlite
    import numba

    from unfold.backends.numba.target import identity

    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.read_bytes())
    parts = (numba.__version__, llvmlite.__version__, sys.version, *identity())
    found.update("\n".join(parts).encode())
    return found.digest()


def load(text: str, entry: str = "block") -> Loaded:
    """Return the C function of a generated module.

    Args:
        text: the module; its function `entry` is a Numba `cfunc`.
        entry: the name of the function.

    Raises:
        BackendError: Numba refuses the module.
    """
    start, before = time.perf_counter(), len(_compiled)
    module = load_module(text)
    address: int = getattr(module, entry).address
    return Loaded(address, len(_compiled) > before, time.perf_counter() - start)


def load_all(texts: Sequence[str]) -> list[Loaded]:
    """Return the C functions of several modules; listeners hear of those to be compiled.

    Args:
        texts: the modules; equal ones are compiled once.
    """
    missing = [t for t in dict.fromkeys(texts) if not is_ready(t)]
    done = {t: i for i, t in enumerate(missing)}
    found: list[Loaded] = []
    for text in texts:
        if text in done and not is_ready(text):
            tell(done[text], len(missing), place_of_entries() is not None)
        found.append(load(text))
    if missing:
        tell(len(missing), len(missing), place_of_entries() is not None)
    return found


def place_of_entries() -> Path | None:
    """Return the folder of the entries, or None where nothing is kept."""
    return None if _given_up else kept.kernels()


def is_ready(text: str) -> bool:
    """Whether a module is loaded or in the store (not whether it is whole)."""
    name, place = _name(text), place_of_entries()
    return name in _modules or (place is not None and is_regular(place / name / CHECKS))


def load_module(text: str) -> ModuleType:
    """Return a module made from text, its functions with their machine code cached."""
    name = _name(text)
    if name in _modules:
        return _modules[name]
    place = place_of_entries()
    if place is None:
        _modules[name] = _unkept(name, text)
    elif not _found(place / name, name, text):
        try:
            _make(place / name, name, text)
        except (OSError, DataError) as error:
            _give_up(place, error)
            return load_module(text)
        _prune()
    return _modules[name]


def _found(folder: Path, name: str, text: str) -> bool:
    """Load an entry if it is whole, and tell so."""
    try:
        if not _is_whole(folder, text):
            return False
        _modules[name] = _executed(name, text, str(folder / f"{name}.py"))
    except (OSError, BackendError):  # it was removed in between
        return False
    with suppress(OSError):
        os.utime(folder / CHECKS)  # the least recently used go first
    return True


def _name(text: str) -> str:
    return f"k{hashlib.sha256(_fingerprint() + text.encode()).hexdigest()}"


def _make(folder: Path, name: str, text: str) -> None:
    """Write a module, compile it, and note the checksums of all its files; if nobody else has.

    Raises:
        OSError: the entry cannot be written.
        BackendError: Numba refuses the module.
    """
    with kept.locked(folder):
        if _found(folder, name, text):
            return
        try:
            remove(folder)
            folder.mkdir(mode=0o700)
            (folder / f"{name}.py").write_text(text, encoding="utf-8", newline="\n")
            _modules[name] = _compile(name, text, str(folder / f"{name}.py"))
            sums = {str(f.relative_to(folder)): _sum(f) for f in _files(folder)}
            write_whole(folder / CHECKS, json.dumps(sums))
        except OSError:
            with suppress(OSError):
                remove(folder)
            raise


def _compile(name: str, text: str, file: str) -> ModuleType:
    found = _executed(name, text, file)
    _compiled.append(name)
    return found


def _unkept(name: str, text: str) -> ModuleType:
    """Compile a module in memory alone."""
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return _compile(name, text.replace("cache=True", "cache=False"), file)


def _give_up(place: Path, error: OSError | DataError) -> None:
    """Keep no more kernels in this process, and say why."""
    reason, how = str(error), "Set"
    if isinstance(error, OSError):
        reason = explain(error)
        if error.errno in FULL:
            how = "Make room, empty it by `unfold cache --clear`, or set"
    _given_up.append(reason)
    warnings.warn(
        f"cannot keep compiled kernels in {place}: {reason}; this run goes on without."
        f" {how} UNFOLD_CACHE to another folder",
        stacklevel=3,
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of an entry that matter: its text, and Numba's index and machine code."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".nbi", ".nbc"):
            yield file


def _sum(file: Path) -> str:
    return hashlib.sha256(read_regular(file, LARGEST)).hexdigest()


def _is_whole(folder: Path, text: str) -> bool:
    """Whether an entry is this user's own, complete and undamaged."""
    try:
        if not kept.is_own(folder):
            return False
        sums = parse_json(read_regular(folder / CHECKS))
        files = {str(f.relative_to(folder)): f for f in _files(folder)}
        own = read_regular(folder / f"{folder.name}.py").decode("utf-8")
        return (
            own == text
            and len(files) > 1
            and files.keys() == sums.keys()
            and all(_sum(file) == sums[n] for n, file in files.items())
        )
    except (OSError, ValueError, AttributeError, DataError):
        return False


def _executed(name: str, text: str, file: str) -> ModuleType:
    """Run a module; Numba looks for machine code beside it, whatever the user's settings.

    It is run from its text, not from what Python may have kept of it.

    Raises:
        OSError: its machine code cannot be written.
        BackendError: it does not compile.
    """
    from numba.core import config as settings

    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    config: Any = settings
    elsewhere, config.CACHE_DIR = config.CACHE_DIR, ""
    try:
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, OSError):
            raise
        own = [f for f in extract_tb(error.__traceback__) if f.filename == file]
        line = f"\n{own[-1].lineno:5d} | {own[-1].line}" if own else ""
        raise BackendError(f"the kernel {file} does not compile: {error}{line}", text) from error
    finally:
        config.CACHE_DIR = elsewhere
    return module


def _prune() -> None:
    """Remove the least recently used entries beyond the limit; looked at once in a while."""
    if len(_compiled) % 64 != 1:
        return
    own = kept.entries()
    total = sum(size for _, size, _ in own)
    for folder, size, _ in own:
        if total <= kept.LIMIT:
            return
        # What this process uses is in its memory, but another run would miss it.
        if folder.name not in _modules and kept.discard(folder):
            total -= size
