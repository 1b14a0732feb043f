"""Progress of a training run on stderr: a live line on a terminal, plain lines elsewhere.

step   150/1000   loss 2.871   4.14 bits/char   |g| 0.52   31.4 steps/s
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from unfold.training.loop import Metrics

PLAIN_LINES = 20
PLAIN_SECONDS = 30.0
WIDE = 110  # columns that hold the words and a bar


@contextmanager
def show_compiling() -> Iterator[None]:
    """Say on stderr that kernels are being compiled, and how long that took."""
    from unfold.backends.numba import store

    began = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal began
        if done == 0:
            began = time.perf_counter()
            typer.echo(f"compiling {total} kernels, which are kept for the next run", err=True)
        elif done == total:
            typer.echo(f"compiled in {time.perf_counter() - began:.1f} s", err=True)

    store.listeners.append(tell)
    try:
        yield
    finally:
        store.listeners.remove(tell)


class PlainProgress:
    """A line every twentieth of the run, or half a minute, with the mean loss since the last."""

    def __init__(self, steps: int, describe: Callable[[float], str]) -> None:
        self._steps, self._describe = steps, describe
        self._every = max(1, steps // PLAIN_LINES)
        self._losses: list[float] = []
        self._told = time.monotonic()

    def update(self, metrics: Metrics) -> None:
        """Tell of a step."""
        self._losses.append(metrics.loss)
        late = time.monotonic() - self._told > PLAIN_SECONDS
        if metrics.step in (1, self._steps) or metrics.step % self._every == 0 or late:
            line = show_metrics(metrics, self._steps, self._losses, self._describe)
            typer.echo(line, err=True)
            self._losses.clear()
            self._told = time.monotonic()

    def close(self) -> None:
        """Nothing is left open."""


class LiveProgress:
    """A bar with the same words, redrawn in place."""

    def __init__(self, steps: int, describe: Callable[[float], str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._steps, self._describe = steps, describe
        self._losses: list[float] = []
        console = Console(stderr=True)
        bar = [BarColumn(bar_width=20)] if console.width >= WIDE else []
        words = TextColumn("{task.description}")
        self._bar = Progress(*bar, words, TimeRemainingColumn(compact=True), console=console)
        self._task = self._bar.add_task("starting", total=steps)
        self._bar.start()

    def update(self, metrics: Metrics) -> None:
        """Tell of a step."""
        self._losses = [*self._losses[-19:], metrics.loss]
        line = show_metrics(metrics, self._steps, self._losses, self._describe)
        self._bar.update(self._task, completed=metrics.step, description=line)

    def close(self) -> None:
        """Leave the last line and give the terminal back."""
        self._bar.stop()


def make_progress(steps: int, describe: Callable[[float], str]) -> PlainProgress | LiveProgress:
    """Return the progress that fits where stderr goes; `describe` adds words about a loss."""
    kind = LiveProgress if sys.stderr.isatty() else PlainProgress
    return kind(steps, describe)


def show_metrics(
    metrics: Metrics, steps: int, losses: list[float], describe: Callable[[float], str]
) -> str:
    """Return the line about a step."""
    loss = sum(losses) / len(losses)
    width = len(str(steps))
    pieces = [
        f"step {metrics.step:>{width}}/{steps}",
        f"loss {loss:.4f}",
        describe(loss),
        f"|g| {metrics.gradient_norm:.3g}",
        f"{metrics.steps_per_second:.1f} steps/s",
    ]
    return "   ".join(p for p in pieces if p)


def bits(nats: float) -> float:
    """Return an amount of information in bits."""
    return nats / math.log(2)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C (or SIGTERM) only makes the given function true; the second acts."""
    asked: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        typer.echo("\nfinishing this step and saving (Ctrl-C again stops at once)", err=True)

    for number in signals:
        signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
