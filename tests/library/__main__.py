"""The command: `python -m tests.library`."""

from __future__ import annotations

import argparse
import sys

import unfold
from tests.library import Ended, run


def main() -> int:
    """Run the specs, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.library", description=__doc__)
    parser.add_argument("names", nargs="*", help="specs; default: all")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each")
    asked = parser.parse_args()
    paths = {path.stem: path for path in unfold.library()}
    ended = []
    for name in asked.names or paths:
        ended.append(run(paths[name], asked.limit))
        print(_line(ended[-1]), flush=True)
    failed = [one for one in ended if one.mistake]
    slowest = max(ended, key=lambda one: one.seconds)
    print(
        f"{len(ended)} specs, {len(failed)} failed, {sum(e.seconds for e in ended):.0f} s in all;"
        f" the slowest is {slowest.name} with {slowest.seconds:.1f} s"
    )
    return bool(failed)


def _line(ended: Ended) -> str:
    head = f"{ended.family:14} {ended.name:26} {ended.seconds:6.1f} s  "
    if ended.mistake:
        return head + f"FAILED: {ended.mistake}"
    if "last_loss" not in ended.told:
        return head + "one pass forward and back" if "loss" in ended.told else head + "ok"
    told = ended.told
    return (
        head + f"loss {told['first_loss']:.4g} -> {told['last_loss']:.4g} ({told['steps']} steps)"
    )


if __name__ == "__main__":
    sys.exit(main())
