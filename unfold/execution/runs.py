"""Run a Program on a backend: arrays in, arrays out; plans and compiled code are kept.

Any backend of the registry can run it. A compiled one gets a Plan of the Program, with masks if the
sequences of a batch differ in length. Together with `api.py` and the command line this is the code
that names all stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.backends import chosen, default, load
from unfold.core.paths import read_inputs
from unfold.core.plan import Plan
from unfold.core.program import BATCH, Program
from unfold.core.target import Target
from unfold.errors import UnsupportedError
from unfold.execution.memory import Memory
from unfold.passes.lowering import lower, to_backend
from unfold.passes.reach import reaches_far
from unfold.planning.plan import plan
from unfold.runs.domain import Domain
from unfold.runs.feeds import check_classes, check_inputs, check_parameters, domain_of

if TYPE_CHECKING:
    from unfold.backends.protocol import Backend, Prepared
    from unfold.explain.describe import Description

Arrays = Mapping[str, Any]
MAX_CALLS = 64


@dataclass
class Signature:
    """Everything that follows from the names, shapes and types of a run's arrays, and its lengths.

    A later run with the same ones must check only the values of its categories.

    Attributes:
        program: to run.
        domain: of the run.
        prepared: made from both by a backend.
        classes: inputs that are categories.
        cut: parameters of which a shorter run uses the first entries.
        shown: inputs that are returned unchanged.
    """

    program: Program
    domain: Domain
    prepared: Prepared
    classes: tuple[str, ...]
    cut: Mapping[str, tuple[slice, ...]]
    shown: tuple[str, ...]

    def arrays(self, params: Arrays, inputs: Arrays) -> dict[str, Any]:
        """Return checked arrays in the form that backends take.

        Raises:
            DataError: a class out of range.
        """
        for name in self.classes:
            check_classes(self.program[name], inputs[name])
        arrays = {**inputs, **params}
        for name, part in self.cut.items():
            arrays[name] = arrays[name][part]
        return arrays


@dataclass(frozen=True)
class Segment:
    """The place of a run in a longer one; some sequences may have no point in it.

    Attributes:
        origin: per axis, the point of the longer run that this one begins at; default 0.
        extents: of axes that no input of this run has.
    """

    origin: Mapping[str, int]
    extents: Mapping[str, int]


class Execution:
    """Runs Programs on any backend.

    Attributes:
        memory: that runs may take.
        segments: the lengths that were found to fit, by run.
        backends: those in use, by name.
    """

    def __init__(self) -> None:
        self.memory = Memory()
        self.segments: dict[Any, int] = {}
        self.backends: dict[str, Backend] = {}
        self._lowered: dict[Any, Program] = {}
        self._planned: dict[Any, Plan] = {}
        self._calls: dict[Any, Signature] = {}

    def run(
        self,
        backend: str | None,
        program: Program,
        params: Arrays,
        inputs: Arrays,
        *,
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        batch: int | None = None,
        part: Segment | None = None,
    ) -> tuple[dict[str, Any], Domain]:
        """Compute the results of a Program.

        Args:
            backend: one of `BACKENDS`; default: $UNFOLD_BACKEND, or the first.
            program: to run.
            params: arrays [*extents, *shape] by name.
            inputs: arrays [batch, *extents, *shape] by name.
            lengths: per axis, the length of each sequence, [batch].
            seed: of random values.
            batch: number of sequences if there are no inputs.
            part: the place of this run in a longer one; see `Backend.takes_parts`.

        Returns:
            arrays [batch or 1, *extents, *stored shape] by name, and the domain of the run.

        Raises:
            DataError: arrays that do not fit.
        """
        machine = self.backend(backend)
        params = {n: np.asarray(a) for n, a in params.items()}
        inputs = {n: np.asarray(a) for n, a in inputs.items()}
        call = self._call(machine, program, params, inputs, lengths, batch, part)
        arrays = call.arrays(params, inputs)
        values = call.prepared.run(arrays, seed=seed, origin=part.origin if part else {})
        for name in call.shown:
            values.setdefault(name, inputs[name])
        return values, call.domain

    def _call(
        self,
        machine: Backend,
        program: Program,
        params: Arrays,
        inputs: Arrays,
        lengths: Mapping[str, Any] | None,
        batch: int | None,
        part: Segment | None,
    ) -> Signature:
        """Check arrays, or recognise them by their signature.

        Raises:
            DataError: arrays that do not fit.
        """
        key: list[Any] = [machine, program, batch, *(part.extents.items() if part else ())]
        for arrays in (params, inputs):
            key.append(len(arrays))
            for name, array in arrays.items():
                key += (name, array.shape, array.dtype)
        for axis, own in (lengths or {}).items():
            own = np.asarray(own)
            key += (axis, own.dtype, own.tobytes())
        found = self._calls.get(known := tuple(key))
        if found is None:
            if len(self._calls) >= MAX_CALLS:
                self._calls.clear()
            found = self._checked(machine, program, params, inputs, lengths, batch, part)
            self._calls[known] = found
        return found

    def _checked(
        self,
        machine: Backend,
        program: Program,
        params: Arrays,
        inputs: Arrays,
        lengths: Mapping[str, Any] | None,
        batch: int | None,
        part: Segment | None,
    ) -> Signature:
        arrays = check_inputs(program, inputs, read_inputs(program), dtype=None)
        domain = _domain(program, arrays, lengths, batch, part)
        fitting = check_parameters(program, domain, params, dtype=None)
        return Signature(
            program,
            domain,
            machine.prepare(program, domain, element_type(params, inputs)),
            tuple(n for n in inputs if program[n].type.kind == "category"),
            {
                n: tuple(slice(0, size) for size in array.shape)
                for n, array in fitting.items()
                if array.shape != params[n].shape
            },
            tuple(n for n in inputs if n in program.values),
        )

    def backend(self, name: str | None) -> Backend:
        """Return a backend, made on first use; default: see `run`.

        Raises:
            UnsupportedError: there is no backend of this name.
        """
        if name not in self.backends:
            name = chosen(name)
            if name not in self.backends:
                self.backends[name] = load(name)(self.planned, lambda held: self.memory.room(held))
        return self.backends[name]

    def needs(self, backend: str | None, program: Program, domain: Domain, dtype: str) -> int:
        """Return the bytes that a run of a Program takes."""
        return self.backend(backend).needs(program, domain, dtype)

    def describe(self, program: Program, extents: Mapping[str, int]) -> Description:
        """Return the Plan of the default backend in words, with its costs in single precision.

        Args:
            program: as `run` takes it.
            extents: of axes, "batch" among them; default: those of the Program.

        Raises:
            UnsupportedError: the backend makes no plan.
        """
        from unfold.explain.describe import describe

        name = chosen(None)
        if (target := load(name).target) is None:
            help = f"  help: set another backend, such as  UNFOLD_BACKEND={default()}"
            raise UnsupportedError(f"{name} runs a spec without a plan\n{help}")
        own = {a: n for a, n in extents.items() if a != BATCH}
        plan = self.planned(program, Domain(program, own, batch=extents[BATCH]), target)
        return describe(plan, Domain(plan.program, own, batch=extents[BATCH]).extents)

    def planned(self, program: Program, domain: Domain, target: Target) -> Plan:
        """Return the Plan of a Program for the lengths of a domain and a machine.

        It depends on extents only where an index reaches far beyond them.
        """
        varying: tuple[str, ...] = ()
        if not domain.uniform:
            varying = tuple(
                a
                for a in program.axes
                if a != BATCH and bool((domain.length(a) != domain.extents[a]).any())
            )
        if (program, varying) not in self._lowered:
            self._lowered[program, varying] = lower(program, to_backend(varying))
        lowered = self._lowered[program, varying]
        key: tuple[Any, ...] = (lowered, target)
        if reaches_far(lowered):
            key += tuple(n for a, n in domain.extents.items() if a != BATCH)
        if key not in self._planned:
            self._planned[key] = plan(lowered, target, varying, domain.extents)
        return self._planned[key]


def _domain(
    program: Program,
    arrays: Arrays,
    lengths: Mapping[str, Any] | None,
    batch: int | None,
    part: Segment | None,
) -> Domain:
    if part is None:
        return domain_of(program, arrays, lengths, batch)
    return domain_of(program, arrays, lengths, batch, least=0, extents=part.extents)


def element_type(params: Arrays, inputs: Arrays) -> str:
    """Return "float32" if all real arrays of a run are, else "float64"."""
    arrays = (np.asarray(a) for a in (params or inputs).values())
    kinds = {a.dtype.char for a in arrays if a.dtype.kind == "f"}
    return "float32" if kinds == {"f"} else "float64"
