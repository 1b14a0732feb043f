"""The store of compiled kernels: generated modules and their machine code, named by content.

    load(text).address          the C function `block` of a generated module
    load_module(text)           the module itself

A module's name is a hash of everything that decides its machine code: its text, the source of the
support modules it imports, the versions of Numba and LLVM, and the processor that it is made for.
Its folder holds the text, Numba's cache of the machine code, and a file of checksums that is
written last; an entry without valid checksums is made anew. Several processes may use the store at
once: an entry is made and removed under a lock of its own, which its readers share. The least
recently used entries are removed where the store grows beyond `LIMIT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from unfold.errors import BackendError

try:
    import fcntl
except ImportError:  # not on Windows; there two processes may compile the same kernel
    fcntl = None

SUPPORT = (
    *(
        "calls",
        "coefficients",
        "functions",
        "lanes",
        "memory",
        "operands",
        "target",
        "tiles",
        "vector",
    ),
)
LIMIT = 500 * 2**20
CHECKS = "checksums.json"


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


Progress = Callable[[int, int], None]

listeners: list[Progress] = []  # told (done, in all) before each kernel of a Plan is compiled
_modules: dict[str, ModuleType] = {}
_compiled: list[str] = []  # names, in the order they were made


@cache
def cache_dir() -> Path:
    """Return the user's folder of kernels: $UNFOLD_CACHE, or unfold in the cache folder."""
    given = os.environ.get("UNFOLD_CACHE")
    home = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(given) if given else Path(home).expanduser() / "unfold"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        other = Path(tempfile.mkdtemp(prefix="unfold-"))
        warnings.warn(
            f"cannot write to {folder}; compiled kernels are kept in {other} for this run only."
            " Set UNFOLD_CACHE to a folder that can be written",
            stacklevel=2,
        )
        return other


@cache
def _fingerprint() -> bytes:
    """Return a hash of what every kernel depends on."""
    import llvmlite
    import numba

    from unfold.backends.numba.target import identity

    found = hashlib.sha256()
    for name in SUPPORT:
        found.update(Path(__file__).with_name(f"{name}.py").read_bytes())
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
    """Return the C functions of several modules; `listeners` hear of those to be compiled.

    Args:
        texts: the modules; equal ones are compiled once.
    """
    missing = [t for t in dict.fromkeys(texts) if not is_ready(t)]
    done = {t: i for i, t in enumerate(missing)}
    found: list[Loaded] = []
    for text in texts:
        if text in done and not is_ready(text):
            for tell in listeners:
                tell(done[text], len(missing))
        found.append(load(text))
    if missing:
        for tell in listeners:
            tell(len(missing), len(missing))
    return found


def is_ready(text: str) -> bool:
    """Whether a module is loaded or in the store (not whether it is whole)."""
    name = _name(text)
    return name in _modules or (cache_dir() / name / CHECKS).exists()


def load_module(text: str) -> ModuleType:
    """Return a module made from text, its functions with their machine code cached."""
    name = _name(text)
    if name in _modules:
        return _modules[name]
    folder = cache_dir() / name
    with _locked(folder, shared=True):
        found = _found(folder, name, text)
    if not found:
        with _locked(folder):
            found = _found(folder, name, text)
            if not found:
                _make(folder, name, text)
        if not found:
            _prune()
    return _modules[name]


def _found(folder: Path, name: str, text: str) -> bool:
    """Import an entry if it is whole, and tell so."""
    if not _is_whole(folder, text):
        return False
    with contextlib.suppress(OSError):
        os.utime(folder / CHECKS)  # the least recently used go first
    _modules[name] = _imported(folder, name)
    return True


def _name(text: str) -> str:
    return f"k{hashlib.sha256(_fingerprint() + text.encode()).hexdigest()[:24]}"


def _make(folder: Path, name: str, text: str) -> None:
    """Write a module, compile it, and note the checksums of all its files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    _compiled.append(name)
    _modules[name] = _imported(folder, name)
    sums = {str(f.relative_to(folder)): _sum(f) for f in _files(folder)}
    partial = folder / f"{CHECKS}.{os.getpid()}"
    partial.write_text(json.dumps(sums), encoding="utf-8")
    partial.replace(folder / CHECKS)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of an entry that matter: its text, and Numba's index and machine code."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".nbi", ".nbc"):
            yield file


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_whole(folder: Path, text: str) -> bool:
    """Whether an entry is complete and undamaged."""
    try:
        sums = json.loads((folder / CHECKS).read_text(encoding="utf-8"))
        own = (folder / f"{folder.name}.py").read_text(encoding="utf-8")
        return own == text and len(sums) > 1 and all(_sum(folder / n) == s for n, s in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _imported(folder: Path, name: str) -> ModuleType:
    """Import an entry; Numba looks for machine code beside it, whatever the user's settings."""
    from numba.core import config as settings

    file = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    config: Any = settings
    elsewhere, config.CACHE_DIR = config.CACHE_DIR, ""
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        own = [f for f in extract_tb(error.__traceback__) if f.filename == str(file)]
        line = f"\n{own[-1].lineno:5d} | {own[-1].line}" if own else ""
        text = file.read_text(encoding="utf-8")
        raise BackendError(f"the kernel {file} does not compile: {error}{line}", text) from error
    finally:
        config.CACHE_DIR = elsewhere
    return module


@contextlib.contextmanager
def _locked(folder: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of an entry; give whether it is held, which is false only without waiting."""
    if fcntl is None:
        yield True
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = _lock_of(folder)
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, kind)
            except BlockingIOError:
                yield False
                return
            if _is_same(lock.fileno(), path):  # not removed while this waited
                yield True
                return


def _lock_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.lock"


def _is_same(file: int, path: Path) -> bool:
    """Whether an open file is the one that has a path."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def entries() -> list[tuple[Path, int, float]]:
    """Return (folder, bytes, time of last use) of every entry, the oldest first."""
    found: list[tuple[Path, int, float]] = []
    for folder in cache_dir().glob("k*"):
        if folder.is_dir():
            with contextlib.suppress(OSError):
                size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
                check = folder / CHECKS
                used = (check if check.exists() else folder).stat().st_mtime
                found.append((folder, size, used))
    return sorted(found, key=lambda e: e[2])


def _remove(folder: Path) -> bool:
    """Remove an entry and its lock; one that another process makes or reads now stays."""
    with _locked(folder, wait=False) as held:
        if held:
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)
        return held


def _prune() -> None:
    """Remove the least recently used entries beyond the limit; looked at once in a while."""
    if len(_compiled) % 64 != 1:
        return
    own = entries()
    total = sum(size for _, size, _ in own)
    for folder, size, _ in own:
        if total <= LIMIT:
            return
        # What this process uses is in its memory, but another run would miss it.
        if folder.name not in _modules and _remove(folder):
            total -= size


def clear() -> tuple[int, int]:
    """Remove every entry that is not in use; return how many they were and their bytes."""
    removed = [size for folder, size, _ in entries() if _remove(folder)]
    for lock in cache_dir().glob("k*.lock"):
        if not lock.with_suffix("").exists():
            _remove(lock.with_suffix(""))
    return len(removed), sum(removed)
