"""Data: from the section `data` to batches of input arrays, one per step."""

from unfold.training.data.batches import (
    Batch,
    Source,
    TextSource,
    axis_extents,
    check_text_inputs,
    random_inputs,
    random_source,
    text_source,
)

__all__ = [
    "Batch",
    "Source",
    "TextSource",
    "axis_extents",
    "check_text_inputs",
    "random_inputs",
    "random_source",
    "text_source",
]
