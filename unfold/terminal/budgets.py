"""Choose a size or an extent so that a variant comes as close below a budget as it can.

    fitted(variant, "size.hidden", Budget("parameters", 20_000))     Variant("td hidden=50", …)

Costs grow with the number that is chosen: it is doubled until the cost exceeds the budget, and then
found by bisection. Seconds are measured, so that a choice may differ by a little from run to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unfold.errors import UnfoldError
from unfold.speed.timing import timed
from unfold.terminal.loading import load, read_changes
from unfold.terminal.task import prepare
from unfold.terminal.variants import Variant

if TYPE_CHECKING:
    from unfold import Model

LARGEST = 2**20
TURNS = 5
UNITS = {
    "parameters": "parameters",
    "flops": "operations per step, forward and backward",
    "seconds": "seconds for loss and gradients",
}


@dataclass(frozen=True)
class Budget:
    """A limit.

    Attributes:
        kind: "parameters"; "flops": operations per step, forward and backward; or "seconds": of a
            run with gradients.
        limit: that is not exceeded.
        batch: sequences, for seconds.
    """

    kind: str
    limit: float
    batch: int = 1

    def cost(self, model: Model) -> float:
        """Return what a model takes of it."""
        if self.kind == "seconds":
            return self._seconds(model)
        cost = model.cost()
        if self.kind == "parameters":
            return cost.parameters
        axis = model.pipeline.carry_axis
        steps = model.program.axes[axis].extent.constant if axis else 1
        return (cost.flops + (cost.backward_flops or 0)) / steps

    def _seconds(self, model: Model) -> float:
        from unfold.training.data import random_inputs

        params = model.init(seed=0, dtype="float32")
        inputs = random_inputs(model.program, batch=self.batch, seed=0, dtype="float32")
        model.step(params, inputs)
        return min(timed(lambda: model.step(params, inputs)) for _ in range(TURNS))

    def show(self, cost: float) -> str:
        """Return a cost in words."""
        number = f"{cost:.3g}" if self.kind == "seconds" else f"{round(cost):,}"
        return f"{number} {UNITS[self.kind]}"


def fitted(variant: Variant, key: str, budget: Budget) -> Variant:
    """Return a variant with the largest number that keeps a budget.

    Args:
        variant: to change.
        key: `size.NAME` or `axis.NAME`.
        budget: to keep.

    Raises:
        UnfoldError: no number keeps it, or none exceeds it.
    """
    group, _, name = key.partition(".")
    if group not in ("size", "axis") or not name:
        raise UnfoldError(f"--fit {key}: expected size.NAME or axis.NAME, as in  --fit size.hidden")
    build = _builder(variant, key)
    low = 1
    if (least := budget.cost(build(low))) > budget.limit:
        raise UnfoldError(
            f"{variant.name} takes {budget.show(least)} even with {key}=1, more than the budget\n"
            "  help: raise the budget, or choose another size to fit"
        )
    high = 2
    while budget.cost(build(high)) <= budget.limit:
        low, high = high, 2 * high
        if high > LARGEST:
            raise UnfoldError(
                f"{variant.name} keeps the budget even with {key}={low:,}\n"
                "  help: fit a size that the cost depends on"
            )
    while high - low > 1:
        middle = (low + high) // 2
        if budget.cost(build(middle)) <= budget.limit:
            low = middle
        else:
            high = middle
    return Variant(f"{variant.name} {name}={low}", variant.spec, (*variant.items, f"{key}={low}"))


def _builder(variant: Variant, key: str) -> Callable[[int], Model]:
    """Return what makes the model with a number, at the other sizes that its data decide."""
    sizes, axes = {}, []
    if variant.model.spec.data is not None:
        task = prepare(variant.spec, list(variant.items), None, "float64", None)
        sizes = dict(task.sizes)
        axes = [f"axis.{a}={n}" for a, n in task.changes.axes.items()]

    def build(number: int) -> Model:
        items = [*axes, *variant.items, f"{key}={number}"]
        return load(variant.spec, read_changes(items), sizes)

    return build
