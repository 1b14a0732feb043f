"""The section `memory`: the memory that a run may take, and the recomputation of segments.

memory: {checkpoint: auto, budget: 2 GiB}
memory: {checkpoint: 500}                     segments of 500 steps along the first axis that
                                              can be cut, {t: 500} along t
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from unfold.training.sections import Section, Settings, show, validate

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SIZE = "a size such as 500 MB or 2 GiB"


def _read_size(value: object) -> Any:
    """Read a number of bytes, or "500 MB"."""
    if isinstance(value, str):
        number, _, unit = value.strip().partition(" ")
        try:
            return int(float(number) * UNITS[unit.strip()])
        except (KeyError, ValueError, OverflowError):
            raise ValueError(f"expected {SIZE}, got {show(value)}") from None
    return value


Length = Annotated[int, Field(ge=1)]


class MemorySettings(Settings):
    """The memory that a run may take.

    Attributes:
        checkpoint: steps of a segment that is recomputed; "auto" where a run would not fit.
        budget: bytes; default: most of what is free.
    """

    checkpoint: Literal["auto"] | Length | dict[str, Length] | None = None
    budget: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_read_size)] = None


def read_memory(section: Section) -> MemorySettings:
    """Check the section.

    Raises:
        SpecError: with a diagnostic for every mistake.
    """
    words = "auto, a number of steps, or {axis: steps}"
    return validate(MemorySettings, "memory", section, alternatives={"checkpoint": words})
