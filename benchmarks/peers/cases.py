"""What is computed: a cell at a shape, with the same weights and data for everybody.

    h(t) = cell(x(t), h(t-1)),  o(t) = V h(t) + c,  loss = mean over t and batch of cross-entropy

In: names from the command line. Out: `Case`, whose arrays follow from its names and a seed alone.
Parameters have the names and shapes [out, in] of the specs in `benchmarks/specs`; inputs are
integers [batch, steps].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from zlib import crc32

import numpy as np

from unfold.speed.workload import CLASSES, MAIN, Shape, product_flops

Arrays = dict[str, np.ndarray]
Extents = tuple[str, ...]

SPECS = Path(__file__).parent.parent / "specs"


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent layer.

    Attributes:
        name: also of its file in `benchmarks/specs`.
        matrices: how many products of H x H a step has.
        parameters: extents of each, in H and K (classes), as in ("4H", "K").
        library: whether vendors' libraries have it.
    """

    name: str
    matrices: int
    parameters: Mapping[str, Extents]
    library: bool

    @property
    def spec(self) -> Path:
        """Path of the spec."""
        return SPECS / f"{self.name}.yaml"

    def shapes(self, hidden: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter, the output layer's included."""
        whole = {**self.parameters, "V": ("K", "H"), "c": ("K",)}
        return {n: tuple(_extent(e, hidden) for e in extents) for n, extents in whole.items()}


def _extent(text: str, hidden: int) -> int:
    factor, unit = int(text[:-1] or 1), text[-1]
    return factor * {"H": hidden, "K": CLASSES}[unit]


def _packed(gates: int) -> dict[str, Extents]:
    rows = f"{gates}H"
    return {"h.W": (rows, "H"), "h.U": (rows, "K"), "h.b": (rows,)}


def _separate(prefix: str, gates: str, *, recurrent: str) -> dict[str, Extents]:
    found: dict[str, Extents] = {}
    for gate in gates:
        if gate in recurrent:
            found[f"{prefix}W_{gate}"] = ("H", "H")
        found[f"{prefix}U_{gate}"] = ("H", "K")
        found[f"{prefix}b_{gate}"] = ("H",)
    return found


_PEEPHOLES: dict[str, Extents] = {"h.p_i": ("H",), "h.p_f": ("H",), "h.p_o": ("H",)}

CELLS = {
    cell.name: cell
    for cell in (
        Cell("rnn", 1, _packed(1), True),
        Cell("lstm", 4, _packed(4), True),
        Cell("gru", 3, {**_separate("", "rzn", recurrent="rzn"), "c_n": ("H",)}, True),
        Cell("gru-cho", 3, _separate("h.", "zrg", recurrent="zrg"), False),
        Cell("lstm-peephole", 4, {**_packed(4), **_PEEPHOLES}, False),
        Cell("mut1", 2, _separate("", "zrh", recurrent="rh"), False),
    )
}


STEPS = (1_000, 10_000, 100_000)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GROUPS = {
    "main": tuple(MAIN.values()),
    "steps": tuple(Shape(f"T={steps}", steps, 1, 64) for steps in STEPS),
    "batches": tuple(Shape(f"B={batch}", 100, batch, 128) for batch in BATCHES),
}
SHAPES = {shape.name: shape for group in GROUPS.values() for shape in group}


def read_shapes(text: str) -> list[Shape]:
    """Read `S1,S2`, the name of a group, or extents `25x1x100` (steps, batch, hidden).

    Raises:
        ValueError: for anything else, with what is known.
    """
    found: list[Shape] = []
    for name in text.split(","):
        if name in GROUPS:
            found += GROUPS[name]
        elif name in SHAPES:
            found.append(SHAPES[name])
        elif re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", name):
            found.append(Shape(name, *map(int, name.split("x"))))
        else:
            known = ", ".join((*GROUPS, *SHAPES))
            raise ValueError(f"shape {name}: expected STEPSxBATCHxHIDDEN or one of {known}")
    return found


@dataclass(frozen=True)
class Case:
    """A cell at a shape."""

    cell: Cell
    shape: Shape

    @property
    def name(self) -> str:
        """As in `lstm S2`."""
        return f"{self.cell.name} {self.shape.name}"

    @property
    def flops(self) -> int:
        """Floating-point operations of the products, forward and backward."""
        return product_flops(self.cell.matrices, self.shape)

    def parameters(self, seed: int = 0) -> Arrays:
        """Return weights, uniform within ±1/√H as PyTorch draws them, in float32."""
        limit = 1 / sqrt(self.shape.hidden)
        found: Arrays = {}
        for name, shape in self.cell.shapes(self.shape.hidden).items():
            generator = np.random.default_rng([seed, crc32(name.encode())])
            found[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
        return found

    def data(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets, integers [batch, steps]."""
        generator = np.random.default_rng(seed)
        x, y = generator.integers(0, CLASSES, (2, self.shape.batch, self.shape.steps))
        return x, y
