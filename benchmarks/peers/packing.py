"""Weights as peers keep them: [in, out], the gates of one product side by side.

    W_r, W_z, W_n, each [H, H] and applied as W @ h     →     Wh [H, 3H], applied as h @ Wh

In: parameters by the names of a spec. Out: a few wide arrays, and back for gradients. Names of wide
arrays: `Wx` (picked by the input) and `b`, `Wh` (times the old state), `Wg` (times the reset state,
where reset comes before the product), `bh` (inside of a product's reset), `pi pf po` (peepholes),
`Vo` and `c` (the output layer).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.peers.cases import Arrays, Case

_OUTPUT = {"Vo": ("V",), "c": ("c",)}
_ONE = {"Wh": ("h.W",), "Wx": ("h.U",), "b": ("h.b",), **_OUTPUT}

PACKING: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rnn": _ONE,
    "lstm": _ONE,
    "lstm-peephole": {**_ONE, "pi": ("h.p_i",), "pf": ("h.p_f",), "po": ("h.p_o",)},
    "gru": {
        "Wh": ("W_r", "W_z", "W_n"),
        "Wx": ("U_r", "U_z", "U_n"),
        "b": ("b_r", "b_z", "b_n"),
        "bh": ("c_n",),
        **_OUTPUT,
    },
    "gru-cho": {
        "Wh": ("h.W_r", "h.W_z"),
        "Wg": ("h.W_g",),
        "Wx": ("h.U_r", "h.U_z", "h.U_g"),
        "b": ("h.b_r", "h.b_z", "h.b_g"),
        **_OUTPUT,
    },
    # The third bias of MUT1 stands outside of the inner tanh, with the product by Wg.
    "mut1": {
        "Wh": ("W_r",),
        "Wg": ("W_h",),
        "Wx": ("U_r", "U_z", "U_h"),
        "b": ("b_r", "b_z"),
        "bh": ("b_h",),
        **_OUTPUT,
    },
}


def pack(case: Case, parameters: Mapping[str, Any]) -> Arrays:
    """Return a spec's parameters as wide arrays."""
    found: Arrays = {}
    for name, parts in PACKING[case.cell.name].items():
        stacked = np.concatenate([parameters[p] for p in parts], axis=0)
        found[name] = np.ascontiguousarray(stacked.T)
    return found


def unpack(case: Case, wide: Mapping[str, Any]) -> Arrays:
    """Return wide arrays (gradients, say) by the names of the spec."""
    found: Arrays = {}
    for name, parts in PACKING[case.cell.name].items():
        found.update(zip(parts, np.split(np.asarray(wide[name]).T, len(parts)), strict=True))
    return found
