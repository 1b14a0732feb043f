"""The processor as a compiled backend sees it: its vectors, its tiles, and how fast it reads.

found = model.backend().hardware()
found.instructions, found.vector_bytes      "AVX2", 32
found.tiles, found.depth                    ((4, 24), (6, 16)), 256
read = found.reader(2**18)                  256 kB of memory
read(1000)                                  reads them a thousand times: 2.6e8
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Read = Callable[[int], int]


@dataclass(frozen=True)
class Hardware:
    """What generated code is made for.

    Attributes:
        instructions: the set of vector instructions, as in "AVX2".
        processor: the name of the processor in the compiler's terms.
        vector_bytes: bytes of a vector.
        vector_registers: how many vectors the processor holds.
        fused: whether it multiplies and adds in one instruction.
        tiles: rows and columns of a product that stay in registers, in float32; one of them is
            chosen by the number of columns.
        depth: terms that a tile adds up before it is written.
        reader: from a number of bytes to a function that reads about as many, in memory of their
            own, a number of times, with vector instructions, and returns how many it has read.
    """

    instructions: str
    processor: str
    vector_bytes: int
    vector_registers: int
    fused: bool
    tiles: tuple[tuple[int, int], ...]
    depth: int
    reader: Callable[[int], Read]
