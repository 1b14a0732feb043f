"""Functions translated to LLVM do what Python does with them, and all generated blocks are."""

from __future__ import annotations

import ast
import ctypes
import itertools
from typing import Any

import llvmlite.binding as llvm
import pytest
from cases import CASES
from llvmlite import ir
from machine import COMPILED, Recorded
from sample import sample

from tests.differential.interpreted import interpret
from unfold.backends.numba import compiler
from unfold.backends.numba.module_text import is_compiled
from unfold.backends.numba.translate import UntranslatableError, translate

FUNCTIONS = {
    "quotient": "return a // b if b != 0 else 0",
    "remainder": "return a % b if b != 0 else 0",
    "sums": "return -a * 3 + b - (a - 2 * b)",
    "between": "return 1 if -2 <= a <= b else 0",
    "conditions": "return 1 if a > 1 and b > 1 or not a == b and a != 3 else 2",
    "decided": "return 1 if b == 0 or a // b > 1 else 0",
    "extremes": "return min(a, b, 2) + 10 * max(a, b)",
    "swap": "a, b = b, a\n    return 10 * a + b",
    "up": "s = 0\n    for i in range(a, 3 * b, 2):\n        s += i * b\n    return s",
    "down": "s = 0\n    for i in range(b - 1, -1, -1):\n        s = 3 * s + i\n    return s",
    "nested": (
        "s = 0\n    for i in range(a):\n        for j in range(i):\n"
        "            if j == b:\n                s += 100\n"
        "            else:\n                s -= j\n"
        "    return s"
    ),
    "after": "for i in range(4):\n        a += i\n    return a + i",
    "while": "n = 0\n    while n * n < a + b:\n        n += 1\n    return n",
    "early": "if a > b:\n        return 7\n    return a",
    "constant": "return a * WIDE + b",
    "called": "return twice(a) + twice(twice(b))",
}
TEXT = """
from numba import cfunc, njit

WIDE = 64


@njit("int64(int64)", cache=True)
def twice(n):
    return n + n


@cfunc("int64(int64, int64)", cache=True)
def block(a, b):
    {body}
"""
NUMBERS = range(-4, 5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_does_what_python_does(name: str) -> None:
    text = TEXT.format(body=FUNCTIONS[name])
    made = compiler._translated(f"test_{name}", text, None, "<test>")
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(made.block.address)
    plain: dict[str, Any] = {}
    for decorator in ("cfunc", "njit"):
        plain[decorator] = lambda *_, **__: lambda f: f
    exec(text.replace("from numba import cfunc, njit", ""), plain)
    for a, b in itertools.product(NUMBERS, NUMBERS):
        assert function(a, b) == plain["block"](a, b), (a, b)


@pytest.mark.parametrize(
    "body",
    [
        "return a / b",
        "return a << b",
        "return [a][0]",
        "return unknown(a)",
        "return float(a) * 2.0",
        "x = 1\n    x = 2.0",
        "for i in range(a):\n        pass\n    else:\n        a = 1\n    return a",
        "with a:\n        pass",
        "try:\n        pass\n    finally:\n        pass",
    ],
)
def test_what_is_not_translated_is_an_error(body: str) -> None:
    with pytest.raises(UntranslatableError):
        compiler._translated("test", TEXT.format(body=body), None, "<test>")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", COMPILED)
def test_every_block_is_translated(name: str, dtype: str) -> None:
    """Those of the compiled specs, which use every construct that generated text has."""
    drawn = sample(CASES[name], steps=5, seed=1)
    engine = interpret(drawn.model, machine=Recorded())
    params = {n: a.astype(dtype) for n, a in drawn.params.items()}
    inputs = {n: a.astype(dtype) if a.dtype.kind == "f" else a for n, a in drawn.inputs.items()}
    drawn.model.step(params, inputs, lengths=drawn.lengths, backend="numba")
    texts = engine.machine.known
    assert texts
    for text in texts:
        tree, names = ast.parse(text), dict[str, Any]()
        functions = [s for s in tree.body if isinstance(s, ast.FunctionDef) and is_compiled(s)]
        tree.body = [s for s in tree.body if s not in functions]
        exec(compile(tree, "<block>", "exec"), names)
        module = ir.Module("test")
        try:
            translate(functions, names, module, "test_")
        except UntranslatableError as error:
            pytest.fail(f"{error}\n{text}")
        llvm.parse_assembly(str(module)).verify()
