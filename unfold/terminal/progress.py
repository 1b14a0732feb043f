"""Progress of a training run on stderr: a live line on a terminal, plain lines elsewhere.

step   150/1000   loss 2.871 nats   4.14 bits/char   |g| 0.52   clipped 12%   31.4 steps/s   0:27
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from unfold.terminal.report import plural
from unfold.terminal.screen import echo

if TYPE_CHECKING:
    from unfold.training.metrics import Metrics

PLAIN_LINES = 20
PLAIN_SECONDS = 30.0
LIVE_SECONDS, LIVE_MEMORY = 0.1, 2.0
WIDE = 120  # columns that hold the words and a bar
HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
STOPPING = tuple(n for n in (signal.SIGINT, signal.SIGTERM, HANGUP) if n is not None)
SHOW_CURSOR, CLEAR_LINE = "\x1b[?25h", "\r\x1b[2K"


@contextmanager
def show_compiling() -> Iterator[None]:
    """Say on stderr that kernels are being compiled, and how long that took."""
    from unfold.backends.listening import listeners

    began = 0.0

    def tell(done: int, total: int, kept: bool) -> None:
        nonlocal began
        if done == 0:
            began = time.perf_counter()
            if sys.stderr.isatty():  # there may be a bar
                sys.stderr.write(CLEAR_LINE)
            kernels = plural(total, "kernel")
            fate = ", kept for the next run" if kept else ""
            echo(f"compiling {kernels}{fate}", err=True)
        elif done == total:
            echo(f"compiled in {time.perf_counter() - began:.1f} s", err=True)

    listeners.append(tell)
    try:
        yield
    finally:
        listeners.remove(tell)


@dataclass(frozen=True)
class Words:
    """What is said about a run.

    Attributes:
        steps: of the whole run.
        unit: of the loss.
        describe: further words about a loss.
        clips: whether gradients are clipped at all.
    """

    steps: int
    unit: str = ""
    describe: Callable[[float], str] = lambda _: ""
    clips: bool = False


class _Window:
    """The means of the last steps, and their speed.

    The first step of a session, in which kernels are compiled, does not count for the speed.

    Args:
        words: what is said.
        seconds: how far back means go; 0 is to the last line.
    """

    def __init__(self, words: Words, seconds: float = 0.0) -> None:
        self._words, self._seconds = words, seconds
        self._loss = self._clipped = 0.0
        self._count = 0
        self._marks: deque[tuple[float, int, float, float]] = deque()
        self._marks.append((math.inf, 0, 0.0, 0.0))

    def add(self, metrics: Metrics) -> None:
        """Take a step."""
        self._loss += metrics.loss
        self._clipped += metrics.clipped
        self._count += 1
        if self._count == 1:
            self._begun = time.perf_counter()

    def show(self, metrics: Metrics) -> str:
        """Return the line about the last steps."""
        words, now, marks = self._words, time.perf_counter(), self._marks
        while len(marks) > 1 and marks[1][0] < now - self._seconds:
            marks.popleft()
        since, count, loss, clipped = marks[0]
        steps = max(self._count - count, 1)
        loss, clipped = (self._loss - loss) / steps, (self._clipped - clipped) / steps
        timed = self._count - max(count, 1)
        speed = timed / max(now - (self._begun if since > now else since), 1e-9)
        marks.append((now, self._count, self._loss, self._clipped))
        pieces = [
            f"step {metrics.step:>{len(str(words.steps))}}/{words.steps}",
            f"loss {show_loss(loss)} {words.unit}".rstrip(),
            words.describe(loss),
            f"|g| {metrics.gradient_norm:.3g}",
            f"clipped {_percent(clipped)}" if words.clips else "",
            "" if metrics.teacher is None else f"teacher {_percent(metrics.teacher)}",
        ]
        if timed:
            pieces.append(f"{speed:.{1 if speed < 1000 else 0}f} steps/s")
            left = (words.steps - metrics.step) / speed
            pieces.append(f"{show_seconds(left)} left" if left else "")
        return "   ".join(p for p in pieces if p)


class PlainProgress:
    """A line every twentieth of the run, or half a minute, with the mean loss since the last."""

    def __init__(self, words: Words) -> None:
        self._steps, self._window = words.steps, _Window(words)
        self._every = max(1, words.steps // PLAIN_LINES)
        self._told = time.monotonic()

    def update(self, metrics: Metrics) -> None:
        """Tell of a step."""
        self._window.add(metrics)
        late = time.monotonic() - self._told > PLAIN_SECONDS
        if metrics.step in (1, self._steps) or metrics.step % self._every == 0 or late:
            echo(self._window.show(metrics), err=True)
            self._told = time.monotonic()

    def close(self) -> None:
        """Nothing is left open."""


class LiveProgress:
    """A bar with the same words, redrawn in place ten times a second."""

    def __init__(self, words: Words) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        bar = [BarColumn(bar_width=20)] if console.width >= WIDE else []
        column = TextColumn("{task.description}")
        self._bar = Progress(*bar, column, console=console, auto_refresh=False)
        self._task = self._bar.add_task("starting", total=words.steps)
        self._steps, self._window = words.steps, _Window(words, LIVE_MEMORY)
        self._told = 0.0

    def update(self, metrics: Metrics) -> None:
        """Tell of a step."""
        self._window.add(metrics)
        now = time.monotonic()
        if not self._told:
            self._bar.start()
        if now - self._told > LIVE_SECONDS or metrics.step == self._steps:
            self._told = now
            line = self._window.show(metrics)
            self._bar.update(self._task, completed=metrics.step, description=line)
            self._bar.refresh()

    def close(self) -> None:
        """Leave the last line and give the terminal back."""
        self._bar.stop()


def make_progress(words: Words) -> PlainProgress | LiveProgress:
    """Return the progress that fits where stderr goes."""
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return LiveProgress(words) if live else PlainProgress(words)


def show_seconds(seconds: float) -> str:
    """Return `0:07`, `12:30`, `3:05:00` or `2 days`."""
    whole = round(seconds)
    if whole >= 48 * 3600:
        return f"{whole // 86400} days"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def show_loss(loss: float) -> str:
    """Return `0.0312`, or `3.1e+12` for a loss that has exploded."""
    return f"{loss:.4f}" if abs(loss) < 1e6 else f"{loss:.3g}"


def bits(nats: float) -> float:
    """Return an amount of information in bits."""
    return nats / math.log(2)


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share in (0, 1) or share >= 0.1 else 1}f}%"


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C (or SIGTERM, or a closed terminal) makes the given function true.

    The second one ends the process at once, whatever it is doing.
    """
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in STOPPING}
    if before.get(HANGUP) == signal.SIG_IGN:  # nohup
        del before[HANGUP]

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for each in before:  # a terminal that is closed says so twice
            signal.signal(each, signal.SIG_IGN if each == HANGUP else signal.SIG_DFL)
        cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
        words = (
            "finishing this step and saving (press Ctrl-C again to stop at once, without saving)"
        )
        with suppress(OSError):  # nobody may be there to read it
            os.write(2, f"{cursor}\n{words}\n".encode())  # print is not safe in a handler

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
