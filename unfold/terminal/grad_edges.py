"""The edges of `unfold grad`: zeros, ties, and numbers that stand on the bound of a condition.

Random numbers never meet `dt[t] > 0` at 0, nor two equal operands of a maximum. At an edge a loss
may have a kink, and its derivatives from both sides

    D± = (4 L(p±εv) - L(p±2εv) - 3 L(p)) / ±2ε

differ. Then the gradient is one of many, by the conventions of the language (abs has derivative 0
at 0, equal operands share, `where` takes what is chosen), and nothing is wrong. It is wrong if

* it is not finite in a direction in which both differences are finite and stay so for a smaller ε;
* both differences agree with each other and not with it, and nothing stands exactly on an edge of
  an operator, so that no convention applies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unfold.core.op import Jump
from unfold.core.program import Program, Value
from unfold.passes.differentiate import adjoint_name

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

EPSILON = 1e-4
TOLERANCE = 1e-3  # of differences from one side, whose error is of the order of ε²


@dataclass(frozen=True)
class EdgeCase:
    """Values at an edge: what stands there, and all parameters and inputs."""

    name: str
    values: Arrays


def check_edges(
    model: Any, parameters: Arrays, inputs: Arrays, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for every edge: its name, the verdict, and what is wrong, if anything is.

    Args:
        model: with a loss.
        parameters, inputs: random ones, away from edges.
        options: of the runs, their seed among them.
    """
    import numpy as np

    generator = np.random.default_rng(options["seed"])
    real = [v.name for v in model.program.inputs if v.type.kind == "real"]
    found: list[dict[str, Any]] = []
    for edge in _edges(model.program, parameters, inputs, generator):
        check = _Check(model, parameters, real, edge, options)
        wrong = [w for name in check.names for w in check.wrong(name, generator)]
        found.append({"edge": edge.name, "ok": not wrong, "wrong": wrong})
    return found


def _edges(
    program: Program, parameters: Arrays, inputs: Arrays, generator: np.random.Generator
) -> Iterator[EdgeCase]:
    """Yield values that meet edges at about half of the index points."""
    import numpy as np

    values = {**inputs, **parameters}

    def some(name: str, other: float) -> EdgeCase:
        array, value = values[name], program[name]
        lead = array.shape[: array.ndim - len(value.type.stored)]
        chosen = generator.random(lead).reshape(lead + (1,) * len(value.type.stored)) < 0.5
        return EdgeCase("", {**values, name: np.where(chosen, other, array)})

    real = [v.name for v in program.inputs if v.type.kind == "real"]
    numbers: dict[str, set[float]] = {name: {0.0} for name in real}
    for value in (v for v in program if v.type.kind == "bool" and v.row.jumps):
        name, bound = _bound(program, value)
        if name in numbers:
            numbers[name].add(bound)
    for name in real:
        for number in sorted(numbers[name]):
            yield replace(some(name, number), name=f"{name} = {number:g}")
        yield EdgeCase(f"ties in {name}", {**values, name: np.round(values[name])})
    zeros = {n: np.where(generator.random(a.shape) < 0.5, 0.0, a) for n, a in parameters.items()}
    if zeros:
        yield EdgeCase("parameters = 0", {**values, **zeros})


def _bound(program: Program, value: Value) -> tuple[str, float]:
    """Return which input a condition compares with which number; no name if it compares others."""
    operands = [program[r.value] for r in value.operands]
    names = [v.name for v in operands if v.is_input]
    numbers = [v.attributes["value"] for v in operands if v.is_constant]
    return (names[0], float(numbers[0])) if names and numbers else ("", 0.0)


class _Check:
    """One edge: the loss around it, and its gradients there."""

    def __init__(
        self,
        model: Any,
        parameters: Arrays,
        real: Sequence[str],
        edge: EdgeCase,
        options: Mapping[str, Any],
    ) -> None:
        import numpy as np

        self.model, self.own, self.edge, self.options = model, set(parameters), edge, options
        self.names = [*parameters, *real]
        self.loss = self.at({})
        params, inputs = self._split(edge.values)
        _, gradients = model.value_and_grad(params, inputs, wrt=self.names, **options)
        self.gradients = {n: np.asarray(g) for n, g in gradients.items()}

    def _split(self, values: Arrays) -> tuple[Arrays, Arrays]:
        return (
            {n: a for n, a in values.items() if n in self.own},
            {n: a for n, a in values.items() if n not in self.own},
        )

    def at(self, moved: Arrays) -> float:
        """Return the loss with other values in place of some."""
        params, inputs = self._split({**self.edge.values, **moved})
        return float(self.model.forward(params, inputs, **self.options, state=False).loss)

    def wrong(self, name: str, generator: np.random.Generator) -> Iterator[str]:
        """Yield what is wrong with the gradient by a name."""
        import numpy as np

        gradient = self.gradients[name]
        if not gradient.size or not math.isfinite(self.loss):
            return
        finite = np.isfinite(gradient)
        direction = generator.standard_normal(gradient.shape)
        if not finite.all():
            direction = np.where(finite, 0.0, direction)
        direction = direction / np.linalg.norm(direction)
        sides = [self._side(name, direction, sign) for sign in (1.0, -1.0)]
        if None in sides:
            return  # no derivative in this direction: the loss jumps, or its slope is infinite
        above, below = (s for s in sides if s is not None)
        told = f"differences from both sides are {above:.6g} and {below:.6g}"
        if not finite.all():
            count = int((~finite).sum())
            yield f"{adjoint_name(name)} is not finite in {count} of {finite.size} entries; {told}"
            return
        exact = float(np.sum(gradient * direction))
        smooth = _near(above, below, exact)
        if smooth and not _near(above, exact, below) and not self._on_an_edge():
            yield f"{adjoint_name(name)} is {exact:.6g} along a direction; {told}"

    def _side(self, name: str, direction: np.ndarray, sign: float) -> float | None:
        """Return a derivative from one side, None where it does not settle."""

        def slope(step: float) -> float:
            near, far = (
                self.at({name: self.edge.values[name] + sign * k * step * direction})
                for k in (1, 2)
            )
            return (4 * near - far - 3 * self.loss) / (2 * step) * sign

        coarse, fine = slope(EPSILON), slope(EPSILON / 4)
        return fine if math.isfinite(fine) and _near(coarse, fine, self.loss) else None

    def _on_an_edge(self) -> bool:
        """Whether an operand stands exactly where a convention decides the derivative.

        Arrays are searched as a whole, whatever the indices: at worst nothing is said.
        """
        import numpy as np

        from unfold.unfolded.running import Runner

        mode = self.options["mode"]
        program = self.model.pipeline.resolved(mode=mode, training=False)
        run, _ = Runner().run(program, *self._split(self.edge.values), seed=self.options["seed"])
        for value in program:
            arrays = [run[r.value] for r in value.operands]
            if value.row.jumps is Jump.AT_ZERO and (arrays[0] == 0).any():
                return True
            if value.row.jumps is not Jump.AT_TIES:
                continue
            if len(arrays) == 2 and np.intersect1d(*arrays).size:
                return True
            if len(arrays) == 1 and np.unique(arrays[0]).size < arrays[0].size:
                return True
        return False


def _near(a: float, b: float, other: float) -> bool:
    """Whether two derivatives agree, as well as differences can tell."""
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b), abs(other))
