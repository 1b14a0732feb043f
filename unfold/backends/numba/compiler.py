"""The compiler of the store: texts in, modules with machine code out.

Functions of whole numbers are translated to LLVM (`translate`), which needs Numba for the kernels
and loops inside of them, and compiled and linked by LLVM alone (`code`). So machine code that is
in the store is loaded without Numba.

Machine code depends on the text, on the source of this folder and of `native`, on the versions of
Numba, LLVM and Python, and on the target processor.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from traceback import extract_tb
from types import SimpleNamespace
from typing import Any

from unfold.backends.native.store import Store
from unfold.backends.numba.code import compiled, linked
from unfold.backends.numba.module_text import is_compiled, is_public
from unfold.backends.numba.target import identity
from unfold.errors import BackendError

HERE = Path(__file__).parent
OBJECT = ".o"
SOURCES = (HERE, HERE.parent / "native")
_LOCK = RLock()


class Compiler:
    """Translates and compiles the functions of modules, and finds them again beside their text."""

    files = frozenset({".py", OBJECT})

    def fingerprint(self) -> bytes:
        """Return a hash of everything that all kernels depend on."""
        return _fingerprint()

    def module(self, name: str, text: str, file: Path | None) -> Any:
        """Return a module with machine code.

        Raises:
            OSError: its machine code cannot be written.
            BackendError: it does not compile.
        """
        where = f"<{name}>" if file is None else str(file)
        if file is None:
            linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
        try:
            return _translated(name, text, file, where)
        except OSError:
            raise
        except Exception as error:
            own = [f for f in extract_tb(error.__traceback__) if f.filename == where]
            line = f"\n{own[-1].lineno:5d} | {own[-1].line}" if own else ""
            raise BackendError(
                f"the kernel {where} does not compile: {error}{line}", text
            ) from error


STORE = Store(Compiler())


@cache
def _fingerprint() -> bytes:
    found = hashlib.sha256()
    for folder in SOURCES:
        for file in sorted(folder.rglob("*.py")):
            found.update(file.read_bytes())
    # The folder is called like the library.
    parts = (version(HERE.name), version("llvmlite"), sys.version, *identity())
    found.update("\n".join(parts).encode())
    return found.digest()


def _translated(name: str, text: str, file: Path | None, where: str) -> Any:
    """Return the functions of a module by name.

    Machine code is written beside the text, and read if it is there.
    """
    tree = ast.parse(text)
    functions = [s for s in tree.body if isinstance(s, ast.FunctionDef) and is_compiled(s)]
    place = file.with_suffix(OBJECT) if file else None
    with _LOCK:
        if place and place.is_file():
            code = place.read_bytes()
        else:
            names: dict[str, Any] = {}
            tree.body = [s for s in tree.body if s not in functions]
            exec(compile(tree, where, "exec", dont_inherit=True), names)
            code = _machine_code(name, functions, names)
            if place:
                place.write_bytes(code)
        public = [f.name for f in functions if is_public(f)]
        found = dict(zip(public, linked(code, [f"{name}_{f}" for f in public]), strict=True))
    return SimpleNamespace(**{f: SimpleNamespace(address=a) for f, a in found.items()})


def _machine_code(name: str, functions: list[ast.FunctionDef], names: dict[str, Any]) -> bytes:
    """Return functions as an object file."""
    from llvmlite import ir

    from unfold.backends.numba.translate import translate

    module = ir.Module(name)
    translate(functions, names, module, f"{name}_")
    return compiled(module)
