"""The compiled engine of the CPU as a backend."""

from __future__ import annotations

from unfold.backends.hardware import Hardware
from unfold.backends.native.backend import Native
from unfold.backends.native.engine import Engine
from unfold.backends.protocol import Planner, Room
from unfold.core.target import Target


class Numba(Native):
    """Runs Plans in machine code that Numba makes.

    Attributes:
        target: a processor whose threads divide the batch among them, so that nests stay in one
            thread: what they make and use up stays in its cache, in one row.
    """

    target = Target(
        contracts=True,
        fuses=True,
        panels=True,
        matrix_vector=False,
        recomputed=200,
        recomputed_apart=20,
        leaves=40,
    )

    def __init__(self, planner: Planner, room: Room) -> None:
        from unfold.backends.numba.machine import Compiled  # a Plan alone needs no compiler

        super().__init__(planner, Engine(Compiled(), room=room))

    def hardware(self) -> Hardware:
        """Describe the target processor."""
        from unfold.backends.numba import gemm, sweep, target

        return Hardware(
            instructions=target.instruction_set(),
            processor=target.identity()[1],
            vector_bytes=target.vector_bytes(),
            vector_registers=target.vector_registers(),
            fused=target.is_fused(),
            tiles=gemm.tile_shapes("float32"),
            depth=gemm.KC,
            reader=sweep.reader,
        )
