"""Machine code by LLVM: modules compiled to object files, and object files linked into the process.

    code = compiled(module)                  a module of llvmlite → the bytes of an object file
    (address,) = linked(code, ["k1_block"])  addresses of its functions, which stay

Everything is for one processor (`target.identity`). Loops of kernels are explicit vector code, so
LLVM vectorises nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from unfold.backends.numba.target import identity

LEVEL = 2  # of optimisation; 3 takes longer, and the code is no faster


def compiled(module: Any) -> bytes:
    """Return a module of llvmlite as an object file."""
    machine = _machine()
    module.triple, module.data_layout = identity()[0], str(machine.target_data)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    optimise(parsed, machine)
    return machine.emit_object(parsed)


def optimise(parsed: Any, machine: Any) -> None:
    """Take a module of LLVM through its passes, for a target machine."""
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)


def linked(code: bytes, names: Sequence[str]) -> tuple[int, ...]:
    """Load an object file into the process and return the addresses of functions."""
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return tuple(map(engine.get_function_address, names))


@cache
def _machine() -> Any:
    triple, name, features = identity()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name,
        features=features,
        opt=LEVEL,
        reloc="static" if triple.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


@cache
def _engine() -> Any:
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
