"""Which Program each kind of run needs, by the lists of `unfold.passes.lowering`; all is kept.

    forward     the spec's Program -> modes -> (carry)
    gradients   ... -> boundaries -> differentiate
    H v         ... of the gradients times a direction -> differentiate again

Every Program is verified after the pass that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from unfold.core.build import Builder
from unfold.core.origin import Carried, Direction, Next, Part, Written
from unfold.core.paths import descendants
from unfold.core.program import Program, Value
from unfold.core.types import Type
from unfold.errors import CycleError, DataError, UnsupportedError
from unfold.passes.carry import WHOLE, Chunk, delays, remembered
from unfold.passes.differentiate import adjoint_name
from unfold.passes.lowering import (
    ALIGN,
    ZEROS,
    Passes,
    lower,
    to_chunk,
    to_derivative,
    to_mode,
    to_next,
)
from unfold.passes.modes import Mode, ProgramMode
from unfold.passes.segments import Segments, segments
from unfold.passes.simplify import drop_dead

DIRECTIONAL = Written("directional")
TOTAL = Part(DIRECTIONAL, "total")


class Pipeline:
    """The Programs that are made from one spec.

    Args:
        program: of the spec, with boundaries and feedback.

    Attributes:
        program: as given.
        nodes: the named equations, in the order of the file.
        recurrent_axes: axes that data can make longer and along which something is delayed.
        carry_axis: the first of them: along it a state can go from chunk to chunk.
        delays: the values of that state, and how many of each.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes = tuple(v.name for v in program if v.is_named and not v.is_given)
        axes = tuple(
            a.name for a in program.axes.values() if a.from_data and delays(program, a.name)
        )
        self.recurrent_axes = axes
        self.carry_axis: str | None = axes[0] if axes else None
        self.delays = delays(program, axes[0]) if axes else {}
        self._made: dict[Any, Program] = {}
        self._cut: dict[Any, Segments] = {}

    def _once(self, key: Any, make: Callable[[], Program]) -> Program:
        if key not in self._made:
            self._made[key] = lower(make(), ALIGN)
        return self._made[key]

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """The parameters that are not frozen."""
        return tuple(v.name for v in self.program.parameters if not v.attributes["frozen"])

    @cached_property
    def states(self) -> dict[str, str]:
        """The values of the carried state, by the names of the inputs that hold them."""
        return {Carried(n).name: n for n in self.delays}

    def wrt(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Return what to differentiate by: parameters, real inputs and carried states.

        Args:
            names: default: all parameters that are not frozen.

        Raises:
            DataError: a name that cannot be differentiated by.
            UnsupportedError: the spec has no loss.
        """
        if self.program.loss is None:
            raise UnsupportedError(
                f"{self.program.name} has no loss to differentiate;"
                " add one, as in  loss: mean[t](mse(o[t], y[t]))"
            )
        if names is None:
            return self.trained
        sources = (*self.program.parameters, *self.program.inputs)
        known = [v.name for v in sources if v.type.kind == "real"]
        known += [s for s, n in self.states.items() if self.program[n].type.kind == "real"]
        for name in (names := tuple(names)):
            if name not in known:
                raise DataError(
                    f"cannot differentiate with respect to {name}; choose from {', '.join(known)}"
                )
        return names

    def resolved(
        self,
        *,
        mode: ProgramMode = "teacher",
        training: bool = False,
        carry: bool = False,
        chunk: Chunk = WHOLE,
    ) -> Program:
        """Return the Program of a mode, whose outputs are all named equations.

        Args:
            mode: "teacher", "free", ("scheduled", p), or ("scheduled", None): a parameter.
            training: whether dropout acts.
            carry: whether the state comes from the chunk before.
            chunk: what else is particular about a chunk.
        """

        def make() -> Program:
            axis = self.carry_axis if carry else None
            self.check_carries(carry)
            passes = to_mode(
                mode,
                training=training,
                start=not carry,
                some_begin=axis if chunk.begins else None,
                counted=self.carry_axis if chunk.known else None,
            )
            if axis is not None:
                passes += to_chunk(axis, self.delays, some_begin=chunk.begins)
            return lower(replace(self.program, outputs=self.nodes), passes)

        return self._once((mode, training, carry, chunk), make)

    def check_carries(self, carry: bool) -> None:
        """Refuse to go on from a state where a few last values are none.

        Raises:
            UnsupportedError: an equation reads all of its past.
        """
        axis = self.carry_axis if carry else None
        for source, reader in (remembered(self.program, axis) if axis else {}).items():
            raise UnsupportedError(
                f"{self.program.name} cannot continue along {axis} where the previous chunk "
                f"stopped:"
                f" {reader} reads the whole past of {source}, but a chunk has none\n"
                f"  help: read whole sequences without carry; or read some steps alone, as in"
                f"  sum[k](x[{axis}-k])"
            )

    def without(self, program: Program, missing: Iterable[str]) -> tuple[Program, set[str]]:
        """Return a Program without some inputs and all that depends on them, and what was lost."""
        lost = descendants(program, missing)
        if not lost:
            return program, lost

        def make() -> Program:
            outputs = tuple(n for n in program.outputs if n not in lost)
            loss = None if program.loss in lost else program.loss
            # Nothing that is kept reads a boundary that is lost.
            kept = [
                replace(v, boundary={a: r for a, r in v.boundary.items() if r.value not in lost})
                for v in program
                if v.name not in lost
            ]
            return drop_dead(program.with_values(kept, outputs=outputs, loss=loss))

        return self._once(("without", program, frozenset(lost)), make), lost

    def only(self, program: Program, names: Iterable[str]) -> Program:
        """Return what some values need."""
        outputs = tuple(names)
        return self._once(
            ("only", program, outputs),
            lambda: drop_dead(replace(program, outputs=outputs, loss=None)),
        )

    def with_state(self, program: Program) -> Program:
        """Return a resolved Program with the state for the next chunk among its outputs."""
        return self._once(("state", program), lambda: lower(program, self._to_next()))

    def _to_next(self, overlap: int = 0) -> Passes:
        axis = self.carry_axis
        return to_next(axis, self.delays, overlap) if axis else ()

    @cached_property
    def _next(self) -> dict[str, str]:
        """The names under which a run gives the state for the next chunk."""
        return {n: Next(n).name for n in self.delays}

    def state(
        self,
        values: Mapping[str, Any],
        lengths: Callable[[str], Any] | None = None,
        missing: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Return the state for the next chunk, by the names of the values it consists of.

        Args:
            values: of the run.
            lengths: the length of every sequence along an axis.
            missing: inputs that were not given; where a chunk is shorter than a delay, the state
                that it should have gone on from is then not known.
        """
        found = {n: values[full] for n, full in self._next.items() if full in values}
        lost = [n for n in found if Carried(n).name in missing]
        if lost and lengths is not None and self.carry_axis is not None:
            shortest = int(lengths(self.carry_axis).min())
            found = {n: a for n, a in found.items() if n not in lost or self.delays[n] <= shortest}
        return found

    def adjoint(
        self,
        wrt: Iterable[str],
        *,
        mode: ProgramMode = "teacher",
        training: bool = True,
        carry: bool = False,
        chunk: Chunk = WHOLE,
        state: bool = False,
    ) -> Program:
        """Return the Program of the loss and its gradients.

        Args:
            wrt: parameters, real inputs and carried states.
            mode, training, carry, chunk: see `resolved`.
            state: whether the state for the next chunk is computed too.
        """
        names = tuple(wrt)

        def make() -> Program:
            program = self.resolved(mode=mode, training=training, carry=carry, chunk=chunk)
            passes = self._to_next(chunk.overlap) if state else ()
            passes += (*ZEROS, *to_derivative(names))
            return lower(replace(program, outputs=()), passes)

        try:
            return self._once(("adjoint", names, mode, training, carry, chunk, state), make)
        except CycleError as error:
            raise UnsupportedError(
                "the equations can be computed, but no order of an axis was found for their "
                f"gradients; give all delays along an axis the same direction\n{error}"
            ) from error

    def segments(
        self,
        wrt: Iterable[str],
        axis: str,
        *,
        mode: ProgramMode = "teacher",
        training: bool = True,
        carry: bool = False,
        chunk: Chunk = WHOLE,
    ) -> Segments:
        """Return the pieces of the Program that are run where segments are recomputed.

        Args:
            wrt: parameters.
            axis: along which to cut.
            mode, training, carry, chunk: see `resolved`.

        Raises:
            UnsupportedError: it cannot be cut along the axis.
        """
        key = (tuple(wrt), axis, mode, training, carry, chunk)
        if key not in self._cut:
            own = self.delays if axis == self.carry_axis else {}
            states = {n: d + chunk.overlap for n, d in own.items()}
            whole = replace(self.program, outputs=tuple(states))
            counted = self.carry_axis if chunk.known else None
            some = axis if carry and chunk.begins and axis == self.carry_axis else None
            common = {"mode": mode, "training": training, "counted": counted}
            start = lower(whole, to_mode(**common, start=not carry, some_begin=some))
            later = lower(whole, to_mode(**common, start=False))
            self._cut[key] = segments(
                start, later, axis, key[0], states=states, going_on=carry, some_begin=bool(some)
            )
        return self._cut[key]

    def curvature(self, wrt: Iterable[str], *, mode: Mode = "teacher") -> Program:
        """Return the Program of the Hessian of the loss times a direction.

        The direction is given as parameters `direction.NAME`; the results are `∂²NAME`.
        """
        names = tuple(wrt)

        def make() -> Program:
            first = self.adjoint(names, mode=mode, training=False)
            builder = Builder.of(first)
            builder.origin = DIRECTIONAL
            products = [_inner_product(builder, first[n]) for n in names]
            builder.emit("identity", (builder.total(products),), origin=TOTAL, type=Type())
            whole = builder.build(first, outputs=())
            second = lower(whole, to_derivative(names, of=TOTAL.name))
            return drop_dead(replace(second, loss=None))

        return self._once(("curvature", names, mode), make)


def _inner_product(builder: Builder, value: Value) -> Any:
    """Return <gradient, direction> of one parameter."""
    origin = Direction(value.name)
    attributes: Mapping[str, Any] = {"init": "zeros", "argument": None, "frozen": True}
    given = Value(origin.name, value.axes, value.type, "parameter", attributes=attributes)
    direction = replace(given, origin=origin)
    product = builder.term(adjoint_name(value.name)) * builder.add(direction)
    flat = product.apply("sum_to", shape=()) if value.type.shape else product
    return builder.sum(flat, value.axes)
