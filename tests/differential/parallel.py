"""A machine that runs independent points of nests at once, for a Target that asks for that.

    interpret(model, machine=Parallel(shuffled(1)), target=PARALLEL)

Points of a nest that differ along its independent dimensions are tasks, and each kernel is one turn
of a task; an order says whose turn is next. Points that differ along the other dimensions alone are
done by one task, in their order. So kernels of different points interleave, as they do on parallel
hardware. The text is that which Numba compiles, but for the tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.differential.interpreted import Interpreted
from unfold.backends.native.protocol import Block
from unfold.backends.numba.generate import _Writer
from unfold.backends.numba.language import Python
from unfold.core.affine import Affine
from unfold.core.plan import Kernel, Nest, Plan
from unfold.core.target import Target

PARALLEL = Target(
    contracts=False,
    fuses=False,
    panels=False,
    matrix_vector=True,
    recomputed=30,
    recomputed_apart=0,
    leaves=8,
)
"""As different from the CPU as can be: no row is shared, and nothing moves into a loop."""

Order = Callable[[list[Iterator[None]]], None]


def backwards(tasks: list[Iterator[None]]) -> None:
    """Run the last task first, each to its end."""
    for task in reversed(tasks):
        for _ in task:
            pass


def lockstep(tasks: list[Iterator[None]]) -> None:
    """Give every task one turn after another."""
    while tasks:
        tasks = [t for t in tasks if next(t, t) is None]


def shuffled(seed: int) -> Order:
    """Return an order in which anybody may be next."""
    random = Random(seed)

    def order(tasks: list[Iterator[None]]) -> None:
        while tasks:
            task = tasks[random.randrange(len(tasks))]
            if next(task, task) is task:
                tasks.remove(task)

    return order


class Parallel(Interpreted):
    """Interprets blocks whose nests are tasks.

    Args:
        order: runs the tasks of a nest.
    """

    def __init__(self, order: Order) -> None:
        super().__init__()

        def together(points: dict[object, list[Callable[[], Iterator[None]]]]) -> None:
            order([_task(own) for own in points.values()])

        self.names["together"] = together

    def blocks(self, plan: Plan, dtype: str) -> tuple[Block, ...]:
        """Return the blocks of a Plan with tasks."""
        return tuple(_Tasks(plan, dtype, Python(dtype)).block(s) for s in plan.statements)


def _task(points: list[Callable[[], Iterator[None]]]) -> Iterator[None]:
    for point in points:
        yield from point()


class _Tasks(_Writer):
    """Writes the points of a nest as functions, and runs them when all are there."""

    first: int | None = None  # line of the first kernel of the nest that is being written

    def nest(self, nest: Nest, depth: int) -> None:
        if not nest.independent:
            super().nest(nest, depth)
            return
        start, self.first = len(self.lines), -1
        super().nest(nest, depth)
        head, body = self.lines[start : self.first], self.lines[self.first :]
        around = re.match(" *", body[0])[0]
        named = re.findall(r"(?:for | )(\w+) (?:in|=) ", "\n".join(head))
        own = "".join(f"{self.variables[d].head}, " for d in nest.independent)
        self.lines[start:] = [
            f"{'    ' * depth}points = {{}}",
            *head,
            f"{around}def point({', '.join(f'{n}={n}' for n in named)}):",
            *(f"    {line}" for line in body),
            f"{around}points.setdefault(({own}), []).append(point)",
            f"{'    ' * depth}together(points)",
        ]
        self.first = None

    def kernel(
        self, kernel: Kernel, depth: int, within: Sequence[Affine] = (), *, batched: bool = False
    ) -> None:
        if self.first == -1:
            self.first, self.variables = len(self.lines), dict(self.loops)
        super().kernel(kernel, depth, within, batched=batched)
        if self.first is not None:
            self.put(depth, "yield")
