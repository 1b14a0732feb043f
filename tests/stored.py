"""Oracle values kept in files, so that a test run does not compile every oracle with JAX.

In: what an oracle would compute, as a function, and everything that it depends on. Out: its
arrays, read from `tests/oracles/values` where they were computed before from the same oracle
and the same numbers. Anything else about them (an edited oracle, another sample) has another key:
it is not found, and the oracle runs.

    arrays = stored("gated.gru", [params, inputs], lambda: {"loss": ...})

`make oracles` computes the missing values, writes them, and drops those that no test asked for;
`tests/test_stored_oracles.py` computes a part of them again.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

TESTS = Path(__file__).parent
FOLDER = TESTS / "oracles" / "values"
# Set by `make oracles`: a folder that every process leaves what it used in.
RECORD = "UNFOLD_RECORD_ORACLES"
SEPARATOR = ":"

Arrays = dict[str, np.ndarray]


def stored(
    oracle: Callable[..., Any], inputs: Iterable[Any], compute: Callable[[], Arrays]
) -> Arrays:
    """Return an oracle's arrays for some inputs: from the files, or computed.

    Args:
        oracle: the function; the texts of its module and of what that imports are in the key.
        inputs: everything else that decides the values: arrays, and dicts and lists of them, names.
        compute: computes them.
    """
    name = family(oracle)
    key = fingerprint([identity(oracle), *inputs])
    found = entries(name).get(key)
    if found is None:
        found = {array: np.asarray(value) for array, value in compute().items()}
    if RECORD in os.environ:
        record(Path(os.environ[RECORD]), name, key, found)
    return found


def family(oracle: Any) -> str:
    """Return the name of the module that a function is defined in, without its package."""
    return getattr(oracle, "func", oracle).__module__.rpartition(".")[2]


def identity(oracle: Any) -> list[Any]:
    """Return what decides which function an oracle is: its modules and what it closes over."""
    if isinstance(oracle, partial):
        return [identity(oracle.func), oracle.args, oracle.keywords]
    held = [cell.cell_contents for cell in oracle.__closure__ or ()]
    own = [oracle.__qualname__, *sources(oracle.__module__)]
    return [*own, *(identity(h) if callable(h) else h for h in held)]


@cache
def sources(module: str) -> tuple[bytes, ...]:
    """Return the texts of a module of the tests and of those that it imports, each once."""
    paths, waiting = dict[str, bytes](), [module]
    while waiting:
        name = waiting.pop()
        path = (TESTS / name.replace(".", "/")).with_suffix(".py")
        if name in paths or not path.is_file():
            continue
        paths[name] = path.read_bytes()
        found = [n for n in ast.walk(ast.parse(paths[name])) if isinstance(n, ast.ImportFrom)]
        waiting += [n.module for n in found if n.module]
    return tuple(paths[name] for name in sorted(paths))


def fingerprint(parts: Any) -> str:
    """Return a hash of nested dicts, lists, arrays and texts; dicts count in the order of names."""
    digest = hashlib.sha256()
    _feed(digest, parts)
    return digest.hexdigest()[:24]


def _feed(digest: Any, part: Any) -> None:
    match part:
        case Mapping():
            _feed(digest, [[name, part[name]] for name in sorted(part)])
        case list() | tuple():
            digest.update(f"[{len(part)}".encode())
            for each in part:
                _feed(digest, each)
        case np.ndarray():
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        case bytes():
            digest.update(b"b%d" % len(part) + part)
        case _:
            digest.update(repr(part).encode() + b";")


@cache
def entries(module: str) -> dict[str, Arrays]:
    """Return everything that is kept of the oracles of a module, by key."""
    path = FOLDER / f"{module}.safetensors"
    found: dict[str, Arrays] = {}
    if path.is_file():
        for name, value in load_file(path).items():
            key, _, array = name.partition(SEPARATOR)
            found.setdefault(key, {})[array] = value
    return found


def record(folder: Path, module: str, key: str, arrays: Arrays) -> None:
    """Leave an entry for `collect`; a name says which module and which key it is of."""
    path = folder / f"{module}{SEPARATOR}{key}"
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, partial)
        partial.replace(path)


def collect(folder: Path) -> int:
    """Write what all processes recorded as the kept values; return how many entries there are."""
    kept: dict[str, Arrays] = {}
    recorded = sorted(p for p in folder.iterdir() if "." not in p.name)
    for path in recorded:
        module, _, key = path.name.partition(SEPARATOR)
        arrays = {f"{key}{SEPARATOR}{name}": value for name, value in load_file(path).items()}
        kept.setdefault(module, {}).update(arrays)
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.safetensors"):
        path.unlink()
    for module, arrays in sorted(kept.items()):
        save_file(arrays, FOLDER / f"{module}.safetensors")
    return len(recorded)
