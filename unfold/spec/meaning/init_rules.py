"""Check that the initialisation rule of a parameter fits its shape.

b: {shape: [hidden], init: identity}    ->   identity needs a matrix, and b is [hidden] = [128]
"""

from __future__ import annotations

from collections.abc import Mapping

from unfold.core.program import Axis
from unfold.core.types import Type
from unfold.spec.file.model import Init, NestedNumbers
from unfold.spec.meaning.scope import Definition
from unfold.spec.text.problems import fail

MATRIX_RULES = ("identity", "orthogonal")


def check_init(definition: Definition, init: Init, type: Type, axes: Mapping[str, Axis]) -> None:
    """Refuse a rule that cannot fill a parameter.

    Raises:
        SpecError: a rule for matrices where there is none, or values of another shape.
    """
    name, rank = definition.name.rpartition(".")[2], len(type.shape)
    if init.kind in MATRIX_RULES and rank != 2:
        raise fail(
            f"init {init.kind} needs a matrix",
            init.at.location,
            f"{name} is {type.show()}",
            help="omit init, or choose normal, uniform, zeros, ones or constant",
        )
    if init.kind != "values" or not isinstance(init.argument, tuple):
        return
    extents = [axes[a].extent for a in definition.axes]
    given = _shape_of(init.argument)
    fixed = all(e.is_constant for e in extents) and not any(
        axes[a].from_data for a in definition.axes
    )
    wanted = (*(e.constant for e in extents), *map(int, type.shape))
    tail = given[len(extents) :] if len(given) == len(wanted) else given
    if given != wanted and (fixed or tail != wanted[len(extents) :]):
        over = f", for each point of {', '.join(definition.axes)}" if definition.axes else ""
        raise fail(
            "the values do not match the shape",
            init.at.location,
            f"their shape is {list(given)}; {name} is {type.show()}{over}",
            help=f"give {_in_words(wanted)}, or one number for all",
        )


def _in_words(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"a list of {shape[0]} numbers"
    return f"nested lists of the shape {list(shape)}"


def _shape_of(values: NestedNumbers) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(values, tuple):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return tuple(shape)
