"""Numba as the compiler of the store: texts in, modules with machine code out.

Machine code depends on the text, on the source of this folder and of `native`, on the versions of
Numba, LLVM and Python, and on the target processor.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from unfold.backends.native.store import Store
from unfold.errors import BackendError

HERE = Path(__file__).parent
SOURCES = (HERE, HERE.parent / "native")


class Compiler:
    """Runs modules; Numba compiles their functions, and finds them again beside their text."""

    suffixes = frozenset({".py", ".nbi", ".nbc"})

    def fingerprint(self) -> bytes:
        """Return a hash of everything that all kernels depend on."""
        return _fingerprint()

    def module(self, name: str, text: str, file: Path | None) -> ModuleType:
        """Return a module with machine code.

        Raises:
            OSError: its machine code cannot be written.
            BackendError: it does not compile.
        """
        if file is not None:
            return _executed(name, text, str(file))
        where = f"<{name}>"
        linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
        return _executed(name, text.replace("cache=True", "cache=False"), where)


STORE = Store(Compiler())


@cache
def _fingerprint() -> bytes:
    import llvmlite
    import numba

    from unfold.backends.numba.target import identity

    found = hashlib.sha256()
    for folder in SOURCES:
        for file in sorted(folder.rglob("*.py")):
            found.update(file.read_bytes())
    parts = (numba.__version__, llvmlite.__version__, sys.version, *identity())
    found.update("\n".join(parts).encode())
    return found.digest()


def _executed(name: str, text: str, file: str) -> ModuleType:
    """Run a module; Numba searches its machine code beside it, with any settings of the user.

    It runs from its text, not from Python's cached bytecode.
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
