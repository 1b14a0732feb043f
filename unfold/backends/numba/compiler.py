"""The compiler of the store: texts in, modules with machine code out.

Functions of whole numbers are translated (`translate`) and compiled by Numba's code generator,
without its front end.

Machine code depends on the text, on the source of this folder and of `native`, on the versions of
Numba, LLVM and Python, and on the target processor.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import SimpleNamespace
from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from unfold.backends.native.store import Store
from unfold.backends.numba.translate import is_compiled, is_public, translate
from unfold.errors import BackendError

HERE = Path(__file__).parent
OBJECT, BITCODE = ".o", ".bc"
SOURCES = (HERE, HERE.parent / "native")


class Compiler:
    """Translates and compiles the functions of modules, and finds them again beside their text."""

    files = frozenset({".py", OBJECT, BITCODE})

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


def _translated(name: str, text: str, file: Path | None, where: str) -> Any:
    """Return the functions of a module by name.

    Machine code is written beside the text, and read if it is there.
    """
    tree = ast.parse(text)
    functions = [s for s in tree.body if isinstance(s, ast.FunctionDef) and is_compiled(s)]
    places = [file.with_suffix(s) for s in (OBJECT, BITCODE)] if file else []
    with global_compiler_lock:
        if places and all(p.is_file() for p in places):
            code = tuple(p.read_bytes() for p in places)
            library = _codegen().unserialize_library((name, "object", code))
        else:
            names: dict[str, Any] = {}
            tree.body = [s for s in tree.body if s not in functions]
            exec(compile(tree, where, "exec", dont_inherit=True), names)
            library = _library(name, functions, names)
            _, _, code = library.serialize_using_object_code()
            if file:
                for place, content in zip(places, code, strict=True):
                    place.write_bytes(content)
        public = [f.name for f in functions if is_public(f)]
        found = {f: library.get_pointer_to_function(f"{name}_{f}") for f in public}
    # Its code lives as long as the library.
    return SimpleNamespace(
        library=library, **{f: SimpleNamespace(address=a) for f, a in found.items()}
    )


def _library(name: str, functions: list[ast.FunctionDef], names: dict[str, Any]) -> Any:
    """Return functions as machine code of Numba's code generator."""
    library = _codegen().create_library(name)
    module = library.create_ir_module(name)
    translate(functions, names, module, f"{name}_")
    library.enable_object_caching()
    library.add_ir_module(module)
    library.finalize()
    return library


def _codegen() -> Any:
    context: Any = cpu_target.target_context
    return context.codegen()
