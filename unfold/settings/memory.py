"""The section `memory`: the memory that a run may take, and the recomputation of segments.

memory: {checkpoint: auto, budget: 2 GiB}
memory: {checkpoint: 500}                     segments of 500 steps along the first axis that
                                              can be cut, {t: 500} along t
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from unfold.settings.model import Forms, Settings
from unfold.settings.read import read
from unfold.spec.file.model import Section

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
PATTERN = rf"^\s*\S+\s+({'|'.join(UNITS)})\s*$"


def _bytes(text: str) -> int:
    """Read "500 MB"; raises ValueError for what is no size of at least one byte."""
    number, unit = text.split()
    try:
        size = int(float(number) * UNITS[unit])
    except OverflowError as error:
        raise ValueError(text) from error
    if size < 1:
        raise ValueError(text)
    return size


Length = Annotated[int, Field(ge=1)]
Size = Annotated[
    int,
    Forms(
        "a size such as 500 MB or 2 GiB",
        Length | Annotated[str, Field(pattern=PATTERN), AfterValidator(_bytes)],
    ),
]


class MemorySettings(Settings):
    """The memory that a run may take.

    Attributes:
        checkpoint: steps of a segment that is recomputed; "auto" where a run would not fit.
        budget: bytes; default: most of what is free.
    """

    checkpoint: (
        Annotated[
            Literal["auto"] | Length | dict[str, Length],
            Forms("auto, a number of steps, or {axis: steps}"),
        ]
        | None
    ) = None
    budget: Size | None = None


def read_memory(section: Section) -> MemorySettings:
    """Check the section; raises `SpecError` with a diagnostic for every mistake."""
    return read(MemorySettings, "memory", section)
