"""The store of compiled kernels: generated modules and their machine code, named by content.

    load(text).address          the C function `block` of a generated module
    load_module(text)           the module itself

A module's name is a hash of everything that decides its machine code: its text, the source of the
support modules it imports, the versions of Numba and LLVM, and the processor. Its folder holds the
text, Numba's cache of the machine code, and a file of checksums that is written last; an entry
without valid checksums is made anew. Several processes may use the store at once: an entry is made
under a lock of its own, and appears whole or not at all.
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
from types import ModuleType
from typing import Any

from unfold.errors import BackendError

try:
    import fcntl
except ImportError:  # not on Windows; there two processes may compile the same kernel
    fcntl = None

SUPPORT = (
    *("calls", "coefficients", "functions", "lanes", "memory", "operands", "tiles", "vector"),
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
    import llvmlite.binding as llvm
    import numba

    found = hashlib.sha256()
    for name in SUPPORT:
        found.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    parts = (numba.__version__, llvmlite.__version__, sys.version, llvm.get_host_cpu_name())
    found.update("\n".join([*parts, features]).encode())
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
    if not _is_whole(folder, text):
        with _locked(folder):
            if not _is_whole(folder, text):
                _make(folder, name, text)
                _prune(folder)
                return _modules[name]
    with contextlib.suppress(OSError):
        os.utime(folder / CHECKS)  # the least recently used go first
    _modules[name] = _imported(folder, name)
    return _modules[name]


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
        raise BackendError(f"the kernel {file} does not compile: {error}") from error
    finally:
        config.CACHE_DIR = elsewhere
    return module


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an entry."""
    if fcntl is None:
        yield
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def entries() -> list[tuple[Path, int, float]]:
    """Return (folder, bytes, time of last use) of every entry, the oldest first."""
    found: list[tuple[Path, int, float]] = []
    for folder in cache_dir().glob("k*"):
        if folder.is_dir():
            with contextlib.suppress(OSError):
                size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
                check = folder / CHECKS
                used = check.stat().st_mtime if check.exists() else 0.0
                found.append((folder, size, used))
    return sorted(found, key=lambda e: e[2])


def _prune(kept: Path) -> None:
    """Remove the least recently used entries beyond the limit; looked at once in a while."""
    if len(_compiled) % 64 != 1:
        return
    own = entries()
    total = sum(size for _, size, _ in own)
    for folder, size, _ in own:
        if total <= LIMIT:
            return
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def clear() -> tuple[int, int]:
    """Remove every entry; return how many there were and their bytes."""
    own = entries()
    for folder, _, _ in own:
        shutil.rmtree(folder, ignore_errors=True)
    for lock in cache_dir().glob("k*.lock"):
        lock.unlink(missing_ok=True)
    return len(own), sum(size for _, size, _ in own)
