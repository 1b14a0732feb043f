"""Standard streams that may fail: a full disk, a reader that goes away, a narrow encoding, none.

    install()               once, when the process starts
    with going_on(): …      output that cannot be written is lost, and the work goes on (training)
    end(code)               the exit code, after a message about lost output

Elsewhere the first write that fails raises `Lost`, which ends the command. This is not a mistake
in `unfold explain SPEC | head`, whose reader has gone; it is one if output does not fit on a disk.
Characters that an encoding does not have are written as their numbers.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TextIO

from unfold.errors import MISTAKE

GONE = (errno.EPIPE, errno.ESHUTDOWN, errno.EIO)  # a pipe without a reader, a closed terminal
NAMES = ("stdout", "stderr")


class Lost(Exception):
    """A standard stream cannot be written to. It is not an OSError: those concern files."""


class Outlet(io.RawIOBase):
    """A layer between a stream and its file descriptor.

    Args:
        stream: the stream as Python has made it; it is kept, because its end would close the
            descriptor.

    Attributes:
        error: the first one; after it, nothing more is written.
        goes_on: whether it is kept for later instead of raised.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._kept = stream
        self._raw: Any = getattr(stream.buffer, "raw", stream.buffer)
        self.error: OSError | None = None
        self.goes_on = False

    def writable(self) -> bool:
        """Tell that the stream is writable."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._raw.isatty()

    def write(self, data: Any) -> int | None:
        """Write bytes, or drop them if a write has failed before.

        Raises:
            Lost: it fails for the first time.
        """
        if self.error is None:
            try:
                return self._raw.write(data)
            except OSError as error:
                self.error = error
                if not self.goes_on:
                    raise Lost(str(error)) from None
        return memoryview(data).nbytes


def install() -> None:
    """Put outlets between the standard streams and their descriptors; open closed streams.

    A file must not get the number of a closed stream, because output would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in NAMES:
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper) and _outlet(stream) is None:
            setattr(sys, name, _through(Outlet(stream), stream))


def _through(outlet: Outlet, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _outlet(stream: IO[Any] | None) -> Outlet | None:
    found = getattr(getattr(stream, "buffer", None), "raw", None)
    return found if isinstance(found, Outlet) else None


def has_room_for(text: str) -> bool:
    """Tell whether the encoding of stdout has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def going_on() -> Iterator[None]:
    """Drop output that cannot be written in this context, and go on."""
    outlets = [o for name in NAMES if (o := _outlet(getattr(sys, name))) is not None]
    for outlet in outlets:
        outlet.goes_on = True
    try:
        yield
    finally:
        for name in NAMES:
            getattr(sys, name).flush()
        for outlet in outlets:
            outlet.goes_on = False


def end(code: int) -> int:
    """Write pending output; return the exit code.

    Arguments:
        code: the exit code if all output was written.
    """
    for name in NAMES:
        with suppress(Lost):
            getattr(sys, name).flush()
    outlet = _outlet(sys.stdout)
    if outlet is None or outlet.error is None or outlet.error.errno in GONE:
        return code
    with suppress(Lost):
        words = outlet.error.strerror or str(outlet.error)
        sys.stderr.write(f"cannot write to stdout: {words.lower()}; the output is not complete\n")
        sys.stderr.flush()
    return code or MISTAKE
