"""The target processor of machine code: the one set for Numba, else the one it runs on.

    NUMBA_CPU_NAME=haswell                       vector_bytes() == 32, also on a host with AVX-512
    NUMBA_CPU_NAME=generic                       vector_bytes() == 16
    NUMBA_CPU_NAME=… NUMBA_CPU_FEATURES=+avx2    exactly these: Numba adds none of the host's

`identity` is the target of Numba itself, on which machine code depends. LLVM tells the width of
vectors: a target machine compiles the addition of two vectors, and its assembly shows the
registers. This needs no list of features of processors, on x86 or elsewhere.

A name alone changes the tuning, not the instructions, because Numba adds the features of the host.
Vectors are then no wider than those of the named processor itself, so that a wide host can stand in
for a narrow one. Nothing here runs code of the target.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import config
from numba.core.registry import cpu_target

WIDEST = 64  # bytes; of x86, "zmm"
NARROWEST = 16  # of x86 ("xmm") and of every other processor: NEON, VSX
REGISTERS = {"%zmm": 64, "%ymm": 32}


@cache
def identity() -> tuple[str, str, str]:
    """Return the target of Numba: triple, processor, features in LLVM's notation."""
    context: Any = cpu_target.target_context
    triple, name, features = context.codegen().magic_tuple()
    return triple, name, features


@cache
def vector_bytes() -> int:
    """Return the number of bytes in a vector of the target."""
    triple, name, features = identity()
    whole = register_bytes(triple, name, features)
    settings: Any = config
    told_name_alone = settings.CPU_NAME is not None and settings.CPU_FEATURES is None
    return min(whole, register_bytes(triple, name, "")) if told_name_alone else whole


def register_bytes(triple: str, name: str, features: str) -> int:
    """Return the bytes of the widest vectors a processor adds in one instruction, at most 64.

    Arguments:
        triple: of the machine, as "x86_64-unknown-linux-gnu".
        name: of the processor, as LLVM calls it.
        features: additional or missing ones, as "+avx2,-avx512f".
    """
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    assembly = machine.emit_assembly(llvm.parse_assembly(_sum_of_vectors(triple)))
    return next((n for word, n in REGISTERS.items() if word in assembly), NARROWEST)


def _sum_of_vectors(triple: str) -> str:
    """Return the text of a module that adds two of the widest vectors in memory."""
    vector, pointer = ir.VectorType(ir.FloatType(), WIDEST // 4), ir.PointerType()
    module = ir.Module("sum")
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer]), "sum")
    builder = ir.IRBuilder(function.append_basic_block())
    a, b = (builder.load(p, typ=vector, align=4) for p in function.args)
    builder.store(builder.fadd(a, b), function.args[0], align=4)
    builder.ret_void()
    return str(module)
