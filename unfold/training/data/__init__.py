"""Data: from the section `data` of a spec, or from Python, to batches of input arrays.

    settings   the accepted keys, one model per family
    open       the only module that knows all families          (make: the same from Python)
    text, streams, series, arrays, sequences, images, random: one family each; tasks: see there
    judge      was the answer legal?
    columns    named arrays over sequences that may differ in length
    binding    the column of each input, and the check that it fits
    dataset    data that were read: sizes for the spec, batches, split and facts
    batches    the data of a step, as a pure function of its number
    problems   words and places of mistakes

A source gives sequences of named columns (or one long stream of them), with lengths, vocabularies
and a split; a batcher gives, for the number of a step, `{input: array [batch, *axes, *shape]}`,
lengths, and whether rows go on from the previous batch. There is no state to save: the number of
the step is the position, so a resumed run reads the same batches to the last bit.
"""

from unfold.settings.data import DataSettings, read_data
from unfold.training.data.batches import Batch, FixedSource, Source, StreamSource
from unfold.training.data.binding import Fit
from unfold.training.data.dataset import Data, Dataset
from unfold.training.data.open import check_batch, check_data, open_data
from unfold.training.data.random import axis_extents, random_inputs

__all__ = [
    "Batch",
    "Data",
    "DataSettings",
    "Dataset",
    "Fit",
    "FixedSource",
    "Source",
    "StreamSource",
    "axis_extents",
    "check_batch",
    "check_data",
    "open_data",
    "random_inputs",
    "read_data",
]
