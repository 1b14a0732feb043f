"""The compiled engine of the CPU as a backend."""

from __future__ import annotations

from unfold.backends.native.backend import Native
from unfold.backends.native.engine import Engine
from unfold.backends.numba.machine import Compiled
from unfold.backends.protocol import Planner, Room


class Numba(Native):
    """Runs Plans in machine code that Numba makes."""

    def __init__(self, planner: Planner, room: Room) -> None:
        super().__init__(planner, Engine(Compiled(), room=room))
