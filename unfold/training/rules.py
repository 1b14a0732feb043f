"""Rules that a spec names, with their constants: `adam`, `{adam: {rate: 0.01}}`, `{warmup: 100}`.

A rule is a frozen dataclass whose fields are numbers with defaults. Out of a YAML value comes one,
or a ValueError (from pydantic's point of view) with words about the name, a constant or its value.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic_core import PydanticCustomError

from unfold.training.sections import show

R = TypeVar("R")


@dataclass(frozen=True)
class StepRule(ABC):
    """A rule that gives a number for every step.

    Attributes:
        key: its name in a spec.
        short: whether `{key: number}` gives its first constant.
    """

    key: ClassVar[str]
    short: ClassVar[bool] = True


def power(base: float, exponent: float) -> float:
    """Return base to the power of exponent as IEEE 754 has it: infinite where it is too large."""
    with np.errstate(all="ignore"):
        return float(np.float64(base) ** np.float64(exponent))


def require_steps(name: str, number: int) -> None:
    """Refuse a number of steps below 1."""
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")


def read_rule(
    value: object, table: Mapping[str, type[R]], *, example: str, at: tuple[str | int, ...] = ()
) -> R:
    """Read a rule.

    Arguments:
        value: a name, `{name: {constant: number}}`, or `{name: number}` for a rule's first constant
            where that is all it has to be told.
        table: rules by name.
        example: how the second form looks.
        at: keys and positions that lead to the value, for the place of a mistake.

    Raises:
        ValueError: no such rule, or a constant that it does not take.
    """
    name, constants = value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, constants),) = value.items()
    name = name if isinstance(name, str) else ""
    rule = table.get(name)
    if rule is None:
        close = get_close_matches(name, table, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        wanted = f"expected one of {', '.join(table)}, or {example}"
        raise _at(at, f"{wanted}, got {show(value)}{hint}")
    own: dict[str, Field[Any]] = {f.name: f for f in fields(rule)}  # type: ignore[arg-type]
    if _is_number(constants) and getattr(rule, "short", False):
        constants = {next(iter(own)): constants}
    if not isinstance(constants, Mapping):
        raise _at(at, f"expected the constants of {name} as a mapping, got {show(constants)}")
    lacking = [n for n, f in own.items() if f.default is MISSING and n not in constants]
    if lacking:
        raise _at((*at, name) if constants else at, f"{name} needs the constant {lacking[0]}")
    for key, given in constants.items():
        if key not in own:
            close = get_close_matches(str(key), own, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            known = ", ".join(own)
            message = f"{name} has no constant {key!r}, only {known}{hint}"
            raise _at((*at, name, key), message, key=True)
        _check(str(key), given, str(own[key].type), (*at, name, key))
    try:
        return rule(**constants)
    except ValueError as error:
        raise _at((*at, name), str(error)) from None


def _check(key: str, given: object, kind: str, at: tuple[str | int, ...]) -> None:
    """Check a constant against the annotation of its field."""
    if kind == "bool":
        if not isinstance(given, bool):
            raise _at(at, f"{key} must be true or false, got {show(given)}")
    elif not _is_number(given):
        raise _at(at, f"{key} must be a number, got {show(given)}")
    elif kind.startswith("int") and not isinstance(given, int):
        raise _at(at, f"{key} must be a whole number, got {show(given)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(path: tuple[str | int, ...], message: str, *, key: bool = False) -> PydanticCustomError:
    """Return an error about a value, or about the key that leads to it."""
    context = {"message": message, "path": path, "key": key}
    return PydanticCustomError("constant", "{message}", context)
