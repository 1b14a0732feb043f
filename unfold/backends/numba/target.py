"""The target processor of machine code: the one set for Numba, else the one it runs on.

    NUMBA_CPU_NAME=haswell                       vector_bytes() == 32, also on a host with AVX-512
    NUMBA_CPU_NAME=generic                       vector_bytes() == 16
    NUMBA_CPU_NAME=… NUMBA_CPU_FEATURES=+avx2    exactly these: Numba adds none of the host's

`identity` is the target, on which machine code depends. LLVM tells the width and
the number of vector registers: a target machine compiles the addition of two vectors, or a copy of
many, and its assembly shows the registers. This needs no list of features of processors, on x86 or
elsewhere.

A name alone changes the tuning, not the instructions, because Numba adds the features of the host.
Vectors are then no wider than those of the named processor itself, and no more, so that a wide host
can stand in for a narrow one. Nothing here runs code of the target.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

WIDEST = 64  # bytes; of x86, "zmm"
NARROWEST = 16  # of x86 ("xmm") and of every other processor: NEON, VSX
REGISTERS = {"%zmm": 64, "%ymm": 32}
NUMBER = re.compile(r"(?:%[xyz]mm|\b[vq])(\d+)\b")
FUSED = re.compile(r"\bv?fm(?:add|la)")
MANY = 40  # vectors, more than any processor has registers


@cache
def identity() -> tuple[str, str, str]:
    """Return the target, as Numba chooses it: triple, processor, features in LLVM's notation."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = (os.environ.get(f"NUMBA_CPU_{key}") for key in ("NAME", "FEATURES"))
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    return llvm.get_default_triple(), name or llvm.get_host_cpu_name(), features


@cache
def vector_bytes() -> int:
    """Return the number of bytes in a vector of the target."""
    return min(register_bytes(*processor) for processor in _processors())


@cache
def vector_registers() -> int:
    """Return the number of vector registers of the target."""
    return min(register_count(*processor, vector_bytes()) for processor in _processors())


@cache
def is_fused() -> bool:
    """Return whether the target multiplies and adds in one instruction."""
    return all(multiplies_and_adds(*processor) for processor in _processors())


def instruction_set() -> str:
    """Return the usual name of the target's vector instructions."""
    triple, width = identity()[0], vector_bytes()
    if triple.startswith(("x86", "i686")):
        return {64: "AVX-512", 32: "AVX2" if is_fused() else "AVX"}.get(width, "SSE")
    return "NEON" if triple.startswith(("aarch64", "arm")) else f"{8 * width} bits"


def _processors() -> list[tuple[str, str, str]]:
    """Return the target, and, if a name alone was set, the processor of that name."""
    triple, name, features = identity()
    told_name_alone = "NUMBA_CPU_NAME" in os.environ and "NUMBA_CPU_FEATURES" not in os.environ
    return [(triple, name, features), *([(triple, name, "")] if told_name_alone else [])]


def register_bytes(triple: str, name: str, features: str) -> int:
    """Return the bytes of the widest vectors a processor adds in one instruction, at most 64.

    Arguments:
        triple: of the machine, as "x86_64-unknown-linux-gnu".
        name: of the processor, as LLVM calls it.
        features: additional or missing ones, as "+avx2,-avx512f".
    """
    assembly = _assembly(triple, name, features, WIDEST, 1)
    return next((n for word, n in REGISTERS.items() if word in assembly), NARROWEST)


def register_count(triple: str, name: str, features: str, width: int) -> int:
    """Return the number of registers that hold vectors of a width; arguments as `register_bytes`.

    All of many vectors are read before the first is written, so that all registers are in use.
    """
    assembly = _assembly(triple, name, features, width, MANY)
    return max(map(int, NUMBER.findall(assembly))) + 1


def multiplies_and_adds(triple: str, name: str, features: str) -> bool:
    """Return whether a processor does so in one instruction; arguments as `register_bytes`."""
    return bool(FUSED.search(_assembly(triple, name, features, WIDEST, 1)))


@cache
def _assembly(triple: str, name: str, features: str, width: int, count: int) -> str:
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    return machine.emit_assembly(llvm.parse_assembly(_sums_of_vectors(triple, width, count)))


def _sums_of_vectors(triple: str, width: int, count: int) -> str:
    """Return the text of a module that adds squares of vectors to others, which may overlap."""
    vector, pointer = ir.VectorType(ir.FloatType(), width // 4), ir.PointerType()
    module = ir.Module("sums")
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer]), "sums")
    builder: Any = ir.IRBuilder(function.append_basic_block())
    read, places = ([_place(builder, p, vector, i) for i in range(count)] for p in function.args)
    values = [builder.load(p, typ=vector, align=4) for p in read]
    for value, place in zip(values, places, strict=True):
        square = builder.fmul(value, value, flags=("contract",))
        total = builder.load(place, typ=vector, align=4)
        builder.store(builder.fadd(square, total, flags=("contract",)), place, align=4)
    builder.ret_void()
    return str(module)


def _place(builder: Any, pointer: Any, vector: Any, i: int) -> Any:
    return builder.gep(pointer, [ir.Constant(ir.IntType(64), i)], source_etype=vector)
