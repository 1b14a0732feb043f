"""Which specs the tests compile, and which they interpret: to compile all takes many minutes.

Numba compiles the same text of a block that `differential.interpreted` interprets. So the specs
are interpreted, with every address checked, and those in `COMPILED` are compiled: together they
use every function, kind of load and store, product and loop that any spec uses. `--slow` compiles
all of them.

    features(text)    {"for range/1", "load v", "call/11", "store sum", "tanh", "Mult", ...}
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from differential.interpreted import Interpreted, interpret
from sample import Sample

COMPILED = (
    "ctc",
    "ctc-equations",
    "digits-2d-rnn",
    "glimpses",
    "latch",
    "lenet",
    "looped-transformer",
    "number-words",
    "second-order",
    "stop-halt-output",
)


def interpreted(drawn: Sample, spec: str, config: pytest.Config) -> Any:
    """Let a sample's blocks be interpreted unless the spec is to be compiled; return the engine."""
    if spec in COMPILED or config.getoption("--slow"):
        return None
    return interpret(drawn.model)


class Recorded(Interpreted):
    """Keeps the texts of blocks, and runs none of them."""

    def timed(self, table: int, count: int) -> Any:
        """Do nothing: results are whatever the memory holds."""
        return np.zeros(count + 1, np.int64)


def used(texts: Iterable[str]) -> set[str]:
    """Return the features of several texts."""
    return {feature for text in texts for feature in features(text)}


@cache
def features(text: str) -> frozenset[str]:
    """Return what the text of a block needs of the machine."""
    return frozenset(f for node in ast.walk(ast.parse(text)) for f in _features(node))


def _features(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="vector_kernel"), keywords=keywords):
            given = {k.arg: ast.literal_eval(k.value) for k in keywords}
            yield f"stores {sorted(set(given['stores']))}"
            yield from (
                f"{load} and {store}" for load in given["loads"] for store in given["stores"]
            )
        case ast.Call(func=ast.Name(id=name), args=arguments):
            counted = name in ("call", "range")
            yield f"{name}/{len(arguments)}" if counted else re.sub(r"^k\d+$", "kernel", name)
        case ast.BinOp(op=op) | ast.UnaryOp(op=op):
            yield type(op).__name__
        case ast.Compare(ops=[op]):
            yield type(op).__name__
        case ast.IfExp() | ast.If():
            yield type(node).__name__
        case _:
            return
