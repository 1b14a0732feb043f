"""The cells of the package, each as a spec of its own that is nothing but the cell."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from oracles import cells, gated

from cases.case import Case, X

CELL_SPEC = """
unfold: 1
name: {cell}
axes: {{t: 5}}
sizes: {{features: 7, hidden: 11}}
inputs:
  x[t]: [features]
nodes:
  l[t]: {cell}({call})
loss: sum[t](sum(l[t] * l[t]))
"""


def _cell_case(name: str, cell: Any, call: str = "x[t], hidden=hidden") -> Case:
    """Return a case of one packaged cell; its loss is the sum of its outputs' squares."""

    def oracle(p: Any, inputs: Any, free: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        h = jnp.stack(cell(p, list(inputs["x"]), "l."))
        return jnp.sum(h * h), {"l": h}

    sizes, text = {"features": 7, "hidden": 11}, CELL_SPEC.format(cell=name, call=call)
    return Case(name, oracle, sizes, {"x": X}, text=text)


def _outputs(cell: Any) -> Any:
    """Return a cell of outputs and memories without its memories."""
    return lambda p, x, prefix: cell(p, x, prefix)[0]


CELL_CASES = {
    **{
        name: _cell_case(name, _outputs(cell))
        for name, cell in {
            "rnn": gated.rnn_cell,
            "lstm": gated.lstm_cell,
            "lstm_peephole": gated.lstm_cell,
            "gru": gated.gru_cell,
            "gru_cho": gated.gru_cho_cell,
        }.items()
    },
    # These two have inputs as wide as their state.
    "mut1": _cell_case("mut1", cells.mut1_cell, "x[t]"),
    "mut2": _cell_case("mut2", cells.mut2_cell, "x[t]"),
    "mut3": _cell_case("mut3", cells.mut3_cell),
    "nas": _cell_case("nas", cells.nas_cell),
}
