"""The sections of a file: their names, their purpose, and the kinds of file that have them.

The parser checks keys against this table and the JSON Schema takes its descriptions from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from unfold.spec.file.model import InitKind

VERSION = 1


@dataclass(frozen=True)
class Heading:
    """One key of the file's outermost mapping."""

    about: str
    in_spec: bool = True
    in_cell: bool = True


SECTIONS: dict[str, Heading] = {
    "unfold": Heading("The version of the language: 1."),
    "name": Heading("The name of the model.", in_cell=False),
    "cell": Heading(
        "The name of the cell that this file defines, instead of `name`.", in_spec=False
    ),
    "about": Heading("What the file describes, and its source, in a sentence or two."),
    "axes": Heading(
        "Index axes and their default extents: an integer, an expression over other axes such as "
        "`t // 2`, or nothing if the data determine it. A list if no axis has a default."
    ),
    "sizes": Heading(
        "Named dimensions; each may use + - * // on earlier ones. In a cell, the call sets a size "
        "without a value."
    ),
    "inputs": Heading(
        "Inputs by name and axes: `{category: n}` for an integer below n, a list for the shape of "
        "a real array, `[]` for one number."
    ),
    "parameters": Heading(
        "Parameters by name and axes: a shape, or `{shape: […], init: …, frozen: true}`."
    ),
    "use": Heading("Cell files by the name they are called with; paths are relative to this file."),
    "nodes": Heading(
        "The recurrence equations: `h[t]: tanh(W @ h[t-1] + U @ x[t] + b)`, or a mapping with "
        "`is`, `stack`, `reverse`, `share` and `shape`."
    ),
    "initial": Heading(
        "Values of nodes outside their domain: zeros (the default), ones, learned, a number or an "
        "expression; `s[l]` names the axis, and `{-1: …, -2: …}` gives a value for each point."
    ),
    "loss": Heading("The number that training minimises.", in_cell=False),
    "outputs": Heading("The nodes that a run reports.", in_cell=False),
    "output": Heading("The result of the cell.", in_spec=False),
    "stop": Heading("When a free run ends.", in_cell=False),
    "data": Heading("The data to train on.", in_cell=False),
    "train": Heading("How to train.", in_cell=False),
    "memory": Heading("The memory limit of a run, and the steps to recompute.", in_cell=False),
    "generate": Heading("How to generate output.", in_cell=False),
    "draw": Heading("How to draw.", in_cell=False),
}

INIT_KINDS: dict[InitKind, str] = {
    "zeros": "All zeros.",
    "ones": "All ones.",
    "glorot": "Uniform, variance 2 / (columns + rows); the default for rank 2 and more.",
    "he": "Normal, variance 2 / columns.",
    "orthogonal": "A random orthogonal matrix.",
    "identity": "Ones on the diagonal.",
    "normal": "Normal with this standard deviation.",
    "uniform": "Uniform between minus and plus this number.",
    "constant": "This number everywhere.",
    "values": "These numbers, as nested lists.",
    "file": "The array of the parameter's name in this .safetensors file.",
}
INIT_WITH_ARGUMENT: tuple[InitKind, ...] = ("normal", "uniform", "constant", "values", "file")

EQUATION_KEYS: dict[str, str] = {
    "is": "The expression.",
    "stack": "How many copies of the cell to chain, each reading the one below.",
    "reverse": "The axis, or list of axes, along which the cell runs backwards.",
    "share": "The instance whose parameters are used.",
    "shape": "The shape, if it cannot be inferred.",
}
STOP_KEYS: dict[str, str] = {
    "when": "A condition at each step; the first step where it holds is the last.",
    "at_most": "The largest number of steps.",
    "extent": "Predicted extents by axis.",
}
