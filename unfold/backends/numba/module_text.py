"""The functions of a module's text that become machine code: those with a decorator of Numba.

@cfunc("void(int64)", cache=True)      public: called from outside of the module, by address
@njit("int64(int64)", cache=True)      called by the others
"""

from __future__ import annotations

import ast


def is_compiled(function: ast.FunctionDef) -> bool:
    """Return whether a function of a module becomes machine code."""
    return _decorator(function) in ("cfunc", "njit")


def is_public(function: ast.FunctionDef) -> bool:
    """Return whether a compiled function is called from outside of its module."""
    return _decorator(function) == "cfunc"


def _decorator(function: ast.FunctionDef) -> str | None:
    match function.decorator_list:
        case [ast.Call(func=ast.Name(id=name))]:
            return name
        case _:
            return None
