"""Backends, which run Programs, one folder each; only this registry names them.

    backend = load(chosen("numba"))(planner, room)     imports no other backend

To add a backend, write a class that is a `Backend` (`unfold.backends.protocol`) and add its line.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from unfold.errors import UnsupportedError

if TYPE_CHECKING:
    from unfold.backends.protocol import Backend

BACKENDS = {
    "numba": "unfold.backends.numba.backend:Numba",
    "reference": "unfold.backends.reference:Reference",
}
"""From the name of a backend to "module:Class"; the first one is the default."""

MEANING = "reference"
"""The backend that defines the meaning of a Program: slow, obvious, in double precision."""


def default() -> str:
    """Return the name of the first backend."""
    return next(iter(BACKENDS))


def chosen(name: str | None) -> str:
    """Return the name of a backend; default: $UNFOLD_BACKEND, or the first.

    Raises:
        UnsupportedError: there is no backend of this name.
    """
    name = name or os.environ.get("UNFOLD_BACKEND") or default()
    if name not in BACKENDS:
        raise UnsupportedError(f"unknown backend {name}; choose {' or '.join(BACKENDS)}")
    return name


def load(name: str) -> type[Backend]:
    """Return the class of a backend, imported on first use."""
    module, _, own = BACKENDS[name].partition(":")
    return getattr(import_module(module), own)
