"""Parameters and inputs as peers keep them, and back: the same for PyTorch and JAX.

    QKV = joined("QKV", "Q", "K", "V")
    QKV.pack({Q: [64, 64], K: ..., V: ...})  →  {QKV: [192, 64]}

A `Packing` rewrites some arrays by name and leaves the others; several are applied one after the
other by `both`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.models.cases import Named

Rewrite = Callable[[Named], Named]


@dataclass(frozen=True)
class Packing:
    """A way from the spec's arrays to the peer's, and back for gradients."""

    pack: Rewrite
    unpack: Rewrite


def joined(whole: str, *parts: str) -> Packing:
    """Join matrices [..., out, in] of one shape, below one another, for one product."""

    def pack(arrays: Named) -> Named:
        rest = {n: a for n, a in arrays.items() if n not in parts}
        return {**rest, whole: np.concatenate([arrays[n] for n in parts], -2)}

    def unpack(arrays: Named) -> Named:
        rest = {n: a for n, a in arrays.items() if n != whole}
        pieces = np.split(arrays[whole], len(parts), -2)
        return {**rest, **dict(zip(parts, pieces, strict=True))}

    return Packing(pack, unpack)


def moved(axes: tuple[int, ...], *names: str) -> Packing:
    """Order the dimensions of arrays as `axes` says."""
    back = tuple(int(i) for i in np.argsort(axes))

    def turned(order: tuple[int, ...]) -> Rewrite:
        return lambda arrays: {
            n: np.transpose(a, order) if n in names else a for n, a in arrays.items()
        }

    return Packing(turned(axes), turned(back))


def both(*packings: Packing) -> Packing:
    """Apply packings in turn."""

    def pack(arrays: Named) -> Named:
        for packing in packings:
            arrays = packing.pack(arrays)
        return arrays

    def unpack(arrays: Named) -> Named:
        for packing in reversed(packings):
            arrays = packing.unpack(arrays)
        return arrays

    return Packing(pack, unpack)


def steps_first(arrays: Named) -> Named:
    """Return inputs [batch, steps, ...] as [steps, batch, ...]."""
    return {n: np.swapaxes(a, 0, 1) for n, a in arrays.items()}
