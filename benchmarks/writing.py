"""Characters per second that a trained model writes: a whole text in a compiled run, and less.

    python -m benchmarks.writing            char-rnn, H = 100, 103 characters, float32

Beside it stands the program of min-char-rnn in NumPy, which draws a character at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import unfold
from unfold.generation import make_wish

LENGTH, REPEATS = 2000, 7


def best(call: Callable[[], Any]) -> float:
    """Return the median time of a call that has been made before."""
    call()
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def in_numpy(p: dict[str, Any], length: int) -> Iterator[int]:
    """Write as min-char-rnn does (Karpathy 2015), in float32."""
    generator = np.random.default_rng(0)
    h, symbol = np.zeros(len(p["b_h"]), np.float32), 0
    for _ in range(length):
        h = np.tanh(p["W_hh"] @ h + p["W_xh"][:, symbol] + p["b_h"])
        y = p["W_hy"] @ h + p["b_y"]
        e = np.exp(y - y.max())
        symbol = int(generator.choice(len(e), p=e.astype(np.float64) / e.sum(dtype=np.float64)))
        yield symbol


def main() -> None:
    """Print a table."""
    model = unfold.load("char-rnn")
    params = {n: 1.5 * a for n, a in model.init(seed=0, dtype="float32").items()}
    rows: list[tuple[str, float, int]] = []

    def write(what: str, *, chunk: int | None = None, length: int = LENGTH, **options: Any) -> None:
        wish = make_wish(prompt=[0], length=length, **{"temperature": 1.0, **options})
        number = int(options.get("number", 1))

        def call() -> None:
            for _ in model.writer.stream(params, wish, backend="numba", chunk=chunk):
                pass

        rows.append((what, best(call), number * length))

    write("one run of 2,000 steps")
    write("one run, greedy", temperature=0)
    write("runs of 16 steps", chunk=16)
    write("runs of 1 step", chunk=1)
    write("one run, 64 texts at a time", number=64)
    write("one run, the best 40", top_k=40)
    write("one run, 0.9 of the probability", top_p=0.9)
    search = {"prompt": [0], "length": 200, "backend": "numba"}
    for width in (1, 10):
        seconds = best(lambda width=width: model.generate(params, beam=width, **search))
        rows.append((f"beam search, {width} beam{'s' * (width > 1)}", seconds, 200))
    rows.append(
        ("NumPy, a character at a time", best(lambda: list(in_numpy(params, LENGTH))), LENGTH)
    )
    print("| what | characters/s | µs per character |\n|---|---:|---:|")
    for what, seconds, count in rows:
        print(f"| {what} | {count / seconds:,.0f} | {1e6 * seconds / count:.1f} |")


if __name__ == "__main__":
    main()
