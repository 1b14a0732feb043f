"""Load hostile files, each in a forked process under limits, and print what happened as JSON.

python -m tests.hostile FOLDER     loads FOLDER/*.case

An audit hook ends a process that starts another one, opens a connection or a file for writing, or
unpickles: nothing of that may happen while a spec is loaded. Work is counted in calls
(`tests/work.py`), and memory is what the process grew by; the limits of seconds and addresses only
end what would never end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import unfold
from tests.work import Done, TooMuchWork, work
from unfold.errors import UnfoldError

unfold.loads("unfold: 1\nname: warm\nnodes: {a: 1}\n")
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.",
    "socket.",
    "pickle.",
)
SECONDS, BYTES, CALLS = 600, 2 * 2**30, 20_000_000


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(FORBIDDEN):
        os._exit(66)


def _child(path: Path, write: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    os.chdir(path.parent)
    sys.addaudithook(_guard)
    done = Done()
    try:
        text = path.read_bytes().decode("utf-8", "surrogatepass")
        with work(CALLS) as done:
            unfold.loads(text, file="hostile.yaml")
        outcome, said = "model", ""
    except TooMuchWork as error:
        outcome, said = "too much work", str(error)
    except UnfoldError as error:
        outcome, said = "mistake", str(error)
    except BaseException as error:
        outcome, said = "failure", f"{type(error).__name__}: {error}"[:2000]
    os.write(write, json.dumps([outcome, said[:20_000], done.calls]).encode())


def run(path: Path) -> dict[str, Any]:
    """Load one file in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _child(path, write)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _, status, usage = os.wait4(child, 0)
    outcome, said, calls = json.loads(told) if told else ["killed", f"status {status}", CALLS]
    return {
        "outcome": outcome,
        "said": said,
        "calls": calls,
        "megabytes": (usage.ru_maxrss - before) / 1024,
    }


if __name__ == "__main__":
    print(json.dumps({p.stem: run(p) for p in sorted(Path(sys.argv[1]).glob("*.case"))}))
