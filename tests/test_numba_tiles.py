"""The inner loop of a product keeps its tile in registers, whatever the processor.

Machine code is made for each target by LLVM, which needs no such processor, and read.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from unfold.backends.numba.code import LEVEL, optimise
from unfold.backends.numba.gemm import rows
from unfold.backends.numba.target import multiplies_and_adds, register_bytes, register_count
from unfold.backends.numba.tiles import ITEM, write_tile

TARGETS = {
    "avx512": ("x86_64-unknown-linux-gnu", "skylake-avx512"),
    "zen4": ("x86_64-unknown-linux-gnu", "znver4"),
    "avx2": ("x86_64-unknown-linux-gnu", "haswell"),
    "zen3": ("x86_64-unknown-linux-gnu", "znver3"),
    "sse": ("x86_64-unknown-linux-gnu", "x86-64"),
    "neon": ("aarch64-unknown-linux-gnu", "generic"),
    "apple": ("arm64-apple-darwin", "apple-m1"),
}
# Bytes of a vector, registers, and whether it multiplies and adds at once: from their manuals.
FACTS = {
    "avx512": (64, 32, True),
    "zen4": (64, 32, True),
    "avx2": (32, 16, True),
    "zen3": (32, 16, True),
    "sse": (16, 16, False),
    "neon": (16, 32, True),
    "apple": (16, 32, True),
}
STACK = re.compile(r"\(%rsp\)|\[sp\b|\(%rbp\)")
PRODUCT = re.compile(r"\bv?fm(?:add|la)|\bv?mulp[sd]")
VECTOR = re.compile(r"%[xyz]mm\d|\b[vq]\d+\b")


@pytest.fixture(scope="module", autouse=True)
def every_target() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def facts(target: str) -> tuple[int, int, bool]:
    processor = (*TARGETS[target], "")
    width = register_bytes(*processor)
    return width, register_count(*processor, width), multiplies_and_adds(*processor)


def assembly(target: str, dtype: str, height: int, vectors: int) -> str:
    """Return the optimised machine code of a tile."""
    triple, name = TARGETS[target]
    module = ir.Module("tile")
    module.triple = triple
    integers = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 10)
    function = ir.Function(module, integers, "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    lanes = facts(target)[0] // ITEM[dtype]
    write_tile(builder, dtype, height, vectors, lanes, function.args)
    builder.ret_void()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, opt=LEVEL)
    parsed = llvm.parse_assembly(str(module))
    optimise(parsed, machine)
    return machine.emit_assembly(parsed)


def loops(text: str) -> list[list[str]]:
    """Return the instructions of every innermost loop with products: from a label to a jump back.

    The code of rare cases stands at the end, and jumps back too.
    """
    lines = [line.split("#")[0].split("//")[0].strip() for line in text.splitlines()]
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    found: list[tuple[int, int]] = []
    for i, line in enumerate(lines):
        target = re.search(r"(\.?L[\w$]+|LBB\w+)$", line)
        if target and not line.endswith(":") and labels.get(target[1], i) < i:
            found.append((labels[target[1]], i))
    inner = [s for s in found if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in found)]
    bodies = [[x for x in lines[a : b + 1] if x and not x.endswith(":")] for a, b in inner]
    return [body for body in bodies if any(map(PRODUCT.search, body))]


@pytest.mark.parametrize("target", TARGETS)
def test_registers(target: str) -> None:
    assert facts(target) == FACTS[target]


@pytest.mark.parametrize("vectors", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_spilled(target: str, dtype: str, vectors: int) -> None:
    _, registers, fused = facts(target)
    height = rows(vectors, registers, fused=fused)
    for wide in (vectors, vectors - 1):  # the last panel of a product need not be full
        text = assembly(target, dtype, height, wide)
        found = loops(text)
        products = [sum(bool(PRODUCT.search(x)) for x in loop) for loop in found]
        assert max(products) >= height * wide, text
        for loop in found:
            spilled = [x for x in loop if STACK.search(x) and VECTOR.search(x)]
            assert not spilled, spilled


def test_a_tile_that_does_not_fit_is_noticed() -> None:
    """The tile of a processor with 32 registers spills on one with 16."""
    found = loops(assembly("avx2", "float32", 8, 3))
    assert any(STACK.search(x) and VECTOR.search(x) for loop in found for x in loop)
