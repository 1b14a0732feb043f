"""Event files for TensorBoard, beside metrics.jsonl: `train: {tensorboard: true}`.

    tensorboard --logdir runs

They are written by tensorboardX, which is an optional part of the installation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from unfold.errors import UnsupportedError
from unfold.training.metrics import Number


class EventWriter:
    """Writes every number of a record as a scalar.

    Args:
        folder: where the event files go.
        begin: step from which on older event files no longer count.

    Raises:
        UnsupportedError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path, begin: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UnsupportedError(
                "train.tensorboard needs the package tensorboardX\n"
                "  help: pip install 'unfold-rnn[tensorboard]'"
            ) from None
        own = f".{os.getpid()}.{token_hex(4)}"  # a name that nothing in the folder can have
        self._writer = SummaryWriter(
            str(folder), purge_step=begin, write_to_disk=True, filename_suffix=own
        )

    def write(self, record: Mapping[str, Number]) -> None:
        """Take a record."""
        step = int(record["step"] or 0)
        for name, number in record.items():
            if name != "step" and number is not None and not isinstance(number, bool):
                self._writer.add_scalar(name, number, step)

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._writer.close()
