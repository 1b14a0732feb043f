"""The Python interface: load a spec, run it, differentiate it, unfold it, draw it.

    model = unfold.load("specs/hello.yaml", sizes={"hidden": 8}, axes={"t": 4})
    params = model.init(seed=0)
    loss, grads = model.value_and_grad(params, {"x": x, "target": y})
    model.unfold(t=4).to_svg()

Arrays are [batch, *axes in the order of the node's key, *shape]; a category is an integer array
without a feature dimension, and -1 stands for no category. This module and the command line are the
only ones that name all stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unfold.ops  # noqa: F401  (fills the op table)
from unfold.core.program import BATCH, Program
from unfold.core.types import Type
from unfold.core.verify import verify
from unfold.errors import DataError, Diagnostic, SpecError, UnsupportedError
from unfold.passes.modes import Mode
from unfold.spec.elaborate import Elaborated, elaborate
from unfold.spec.model import Spec
from unfold.spec.sections import parse_spec

if TYPE_CHECKING:
    from unfold.unfolded.graph import UnfoldedGraph
    from unfold.unfolded.measures import Measures
    from unfold.unfolded.reference import Walk

Arrays = Mapping[str, Any]
BACKENDS = ("reference",)


def load(
    path: str | Path,
    *,
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
) -> Model:
    """Load a spec from a file.

    Args:
        path: a YAML file.
        sizes: values in place of the file's `sizes`.
        axes: extents in place of the file's `axes`.

    Raises:
        SpecError: every independent mistake of the file, each with its place.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise SpecError(Diagnostic(f"cannot read {path}: {error.strerror or error}")) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            Diagnostic(f"{path} is not UTF-8 text (byte {error.start})", help="save it as UTF-8")
        ) from None
    return loads(text, file=str(path), sizes=sizes, axes=axes)


def loads(
    text: str,
    *,
    file: str = "<string>",
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
) -> Model:
    """Load a spec from text; see `load`."""
    spec = parse_spec(text, file)
    if spec.kind == "cell":
        raise SpecError(
            Diagnostic(
                f"{file} is a cell, not a model",
                spec.locate("unfold"),
                (),
                f"use it in a model: l1[t]: {spec.name}(x[t])",
            )
        )
    return Model(elaborate(spec, sizes=sizes, axes=axes))


def library() -> list[Path]:
    """Return the specs that come with the package, sorted by name."""
    here = Path(__file__).parent
    for folder in (here.parent / "specs", here / "library"):
        if folder.is_dir():
            return sorted(folder.rglob("*.yaml"))
    return []


@dataclass(frozen=True)
class Run(Mapping[str, Any]):
    """What a forward run computed.

    Attributes:
        arrays: of the named nodes, [batch, *axes, *shape].
        loss: mean over the batch; None without a loss or without what it needs.
        carry: the state for the next chunk, by node.
        lengths: number of index points of each axis, per sequence.
    """

    arrays: Mapping[str, Any]
    loss: float | None
    carry: Mapping[str, Any]
    lengths: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@dataclass(frozen=True)
class Step:
    """Loss, gradients by name, and the state for the next chunk."""

    loss: float
    grads: dict[str, Any]
    carry: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A spec that can be run."""

    elaborated: Elaborated
    _walks: dict[Any, Walk] = field(default_factory=dict, repr=False, compare=False)
    _programs: dict[Any, Program] = field(default_factory=dict, repr=False, compare=False)

    @property
    def program(self) -> Program:
        """The equations, with boundaries and feedback as in the spec."""
        return self.elaborated.program

    @property
    def spec(self) -> Spec:
        """The parsed file."""
        return self.elaborated.spec

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name

    @property
    def about(self) -> str:
        """The spec's description."""
        return self.spec.about

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of the equations, cells' included, in the order of the file."""
        return tuple(
            v.name
            for v in self.program
            if v.is_named and v.op not in ("input", "parameter", "constant")
        )

    def init(self, seed: int = 0, dtype: str = "float64") -> dict[str, Any]:
        """Return fresh parameters, learned initial states included, [*axes, *shape] by name."""
        from unfold.training.initialize import initialize
        from unfold.unfolded.domain import Domain

        extents = Domain(self.program).extents
        return initialize(
            self.program, extents, seed=seed, dtype=dtype, folder=Path(self.spec.file).parent
        )

    # Programs of one mode

    def resolved(
        self, *, mode: Mode = "teacher", training: bool = False, carry: str | None = None
    ) -> Program:
        """Return the Program of a mode.

        Args:
            mode: "teacher", "free" or ("scheduled", p).
            training: whether dropout acts.
            carry: an axis along which the state comes from the chunk before.
        """
        from unfold.passes.carry import carry_state
        from unfold.passes.modes import resolve_modes

        key = (mode, training, carry)
        if key not in self._programs:
            program = resolve_modes(
                replace(self.program, outputs=self.nodes), mode=mode, training=training
            )
            self._programs[key] = verify(carry_state(program, carry) if carry else program)
        return self._programs[key]

    def adjoint(
        self,
        wrt: Iterable[str] | None = None,
        *,
        mode: Mode = "teacher",
        training: bool = True,
        carry: str | None = None,
    ) -> Program:
        """Return the Program that computes the loss and its gradients.

        Args:
            wrt: parameters, real inputs and carried states; default: all parameters that are not
                frozen.
            mode, training, carry: see `resolved`.
        """
        from unfold.passes.boundaries import lower_boundaries
        from unfold.passes.differentiate import differentiate

        names = self._wrt(wrt)
        key = ("adjoint", names, mode, training, carry)
        if key not in self._programs:
            program = self.resolved(mode=mode, training=training, carry=carry)
            kept = tuple(n for n in self._delays if n in program.values)
            lowered = verify(lower_boundaries(replace(program, outputs=kept)))
            self._programs[key] = verify(differentiate(lowered, names))
        return self._programs[key]

    def _wrt(self, wrt: Iterable[str] | None) -> tuple[str, ...]:
        if self.program.loss is None:
            raise UnsupportedError(
                f"{self.name} has no loss to differentiate;"
                " add one, as in  loss: mean[t](mse(o[t], y[t]))"
            )
        if wrt is None:
            return tuple(v.name for v in self.program.parameters if not v.attributes["frozen"])
        known = {
            v.name
            for v in (*self.program.parameters, *self.program.inputs)
            if v.type.kind == "real"
        }
        for name in (names := tuple(wrt)):
            if name not in known and not name.startswith("carry."):
                raise DataError(
                    f"cannot differentiate by {name}; choose among {', '.join(sorted(known))}"
                )
        return names

    @cached_property
    def _delays(self) -> Mapping[str, int]:
        """The values that make up the state along `carry_axis`, and how many of each."""
        from unfold.passes.carry import delays

        return delays(self.program, self.carry_axis) if self.carry_axis else {}

    @cached_property
    def carry_axis(self) -> str | None:
        """The axis along which a state can be carried from chunk to chunk."""
        from unfold.passes.carry import delays

        return next(
            (
                a.name
                for a in self.program.axes.values()
                if a.from_data and delays(self.program, a.name)
            ),
            None,
        )

    # Running

    def forward(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        backend: str = "reference",
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        carry: Arrays | None = None,
        training: bool = False,
        batch: int | None = None,
    ) -> Run:
        """Run forward.

        Args:
            params: from `init`.
            inputs: arrays [batch, *axes, *shape]. What only the loss or the teacher needs may be
                left out.
            backend: "reference".
            mode: "teacher", "free" or ("scheduled", p).
            lengths: per axis, the length of each sequence, [batch].
            seed: of random values.
            carry: the state of the chunk before (`Run.carry`).
            training: whether dropout acts.
            batch: number of sequences where there are no inputs.

        Raises:
            DataError: arrays that do not fit.
        """
        self._check_backend(backend)
        axis = self.carry_axis if carry is not None else None
        program = self.resolved(mode=mode, training=training, carry=axis)
        feeds = {**inputs, **_prefixed(carry)}
        program = self._without(program, feeds)
        values, domain = self._run(program, params, feeds, lengths, seed, batch)
        state = self._state(program, domain, values, carry) if self.carry_axis else {}
        named = {
            n: self._public(program, domain, n, values[n])
            for n in (*self.nodes, *inputs)
            if n in values
        }
        loss = float(values[program.loss].reshape(-1)[0]) if program.loss else None
        lengths = {a: domain.length(a) for a in program.axes if a != BATCH}
        return Run(named, loss, state, lengths)

    def value_and_grad(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        wrt: Iterable[str] | None = None,
        backend: str = "reference",
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        carry: Arrays | None = None,
        training: bool = True,
    ) -> tuple[float, dict[str, Any]]:
        """Return the loss and its gradients by name; arguments as in `forward` and `adjoint`."""
        step = self.step(
            params,
            inputs,
            wrt=wrt,
            backend=backend,
            mode=mode,
            lengths=lengths,
            seed=seed,
            carry=carry,
            training=training,
        )
        return step.loss, step.grads

    def step(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        wrt: Iterable[str] | None = None,
        backend: str = "reference",
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        carry: Arrays | None = None,
        training: bool = True,
    ) -> Step:
        """Return loss, gradients and the state for the next chunk.

        Arguments are those of `forward` and `adjoint`.
        """
        from unfold.passes.differentiate import adjoint_name

        self._check_backend(backend)
        axis = self.carry_axis
        carried = _prefixed(carry)
        wrt = self._wrt(wrt)
        program = self.adjoint(
            wrt, mode=mode, training=training, carry=axis if carry is not None else None
        )
        values, domain = self._run(
            program, params, {**inputs, **carried}, lengths, seed, None, strict=True
        )
        state = self._state(program, domain, values, carry) if axis else {}
        grads: dict[str, Any] = {}
        for name in wrt:
            value = program[name]
            grad = values[adjoint_name(name)]
            grads[name] = grad if value.batched else grad[0]
        assert program.loss is not None
        return Step(float(values[program.loss].reshape(-1)[0]), grads, state)

    def hessian_vector(
        self,
        params: Arrays,
        inputs: Arrays,
        direction: Arrays,
        *,
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return the Hessian of the loss times a direction, by differentiating twice.

        Args:
            params, inputs, mode, lengths, seed: as in `forward`.
            direction: arrays of the parameters' shapes; gradients are taken of <gradient,
                direction>.
        """
        from unfold.core.build import Builder
        from unfold.core.program import Value
        from unfold.passes.differentiate import adjoint_name, differentiate

        wrt = tuple(direction)
        first = self.adjoint(wrt, mode=mode, training=False)
        builder = Builder.of(first)
        builder.node = "directional"
        products = []
        for name in wrt:
            value = first[name]
            attributes = {"init": "zeros", "argument": None, "frozen": True}
            given = builder.add(
                Value(
                    f"direction.{name}",
                    value.axes,
                    value.type,
                    "parameter",
                    attributes=attributes,
                    node=f"direction.{name}",
                )
            )
            product = builder.term(adjoint_name(name)) * given
            flat = product.apply("sum_to", shape=()) if value.type.shape else product
            products.append(builder.sum(flat, value.axes))
        total = builder.total(products)
        builder.emit("identity", (total,), name="directional.total", type=Type())
        second = differentiate(builder.build(first, outputs=()), wrt, of="directional.total")
        second = verify(replace(second, loss=None))
        feeds = {**params, **{f"direction.{n}": a for n, a in direction.items()}}
        values, _ = self._run(second, feeds, inputs, lengths, seed, None, strict=True)
        return {n: values[adjoint_name(n, 2)][0] for n in wrt}

    def _check_backend(self, backend: str) -> None:
        if backend not in BACKENDS:
            raise UnsupportedError(
                f"unknown backend {backend}; this version has {', '.join(BACKENDS)}"
            )

    def _run(
        self,
        program: Program,
        params: Arrays,
        feeds: Arrays,
        lengths: Mapping[str, Any] | None,
        seed: int,
        batch: int | None,
        *,
        strict: bool = False,
    ) -> tuple[dict[str, Any], Any]:
        from unfold.unfolded.feeds import check_inputs, check_parameters, domain_of
        from unfold.unfolded.reference import Walk

        read = {r.value for v in program for r in program.reads(v)}
        needed = [v.name for v in program.inputs if strict and v.name in read]
        arrays = check_inputs(program, feeds, needed)
        domain = domain_of(program, arrays, lengths, batch)
        arrays = {**arrays, **check_parameters(program, domain, params)}
        shape = (
            tuple(domain.extents.items()),
            tuple((a, domain.length(a).tobytes()) for a in program.axes),
        )
        key = (id(program), shape)
        if key not in self._walks:
            if len(self._walks) >= 64:
                self._walks.clear()
            self._walks[key] = Walk(program, domain)
        return self._walks[key].run(arrays, seed=seed), domain

    def _without(self, program: Program, feeds: Arrays) -> Program:
        """Drop what needs an input that is not given; the declared outputs must remain."""
        from unfold.passes.simplify import drop_dead

        missing = {v.name for v in program.inputs} - set(feeds)
        if not missing:
            return program
        key = ("without", id(program), frozenset(missing))
        if key in self._programs:
            return self._programs[key]
        lost = set(missing)
        grew = True
        while grew:
            grew = False
            for value in program:
                if value.name not in lost and any(r.value in lost for r in program.reads(value)):
                    lost.add(value.name)
                    grew = True
        for name in self.program.outputs:
            if name in lost:
                raise DataError(
                    f"input {', '.join(sorted(missing))} is missing; {name} depends on it"
                )
        outputs = tuple(n for n in program.outputs if n not in lost)
        kept = replace(
            program, outputs=outputs, loss=None if program.loss in lost else program.loss
        )
        kept = drop_dead(kept.with_values(v for v in kept if v.name not in lost))
        self._programs[key] = kept
        return kept

    def _state(
        self, program: Program, domain: Any, values: Arrays, carry: Arrays | None
    ) -> dict[str, Any]:
        from unfold.unfolded.state import last_values

        axis = self.carry_axis
        assert axis is not None
        found = {n: d for n, d in self._delays.items() if n in values}
        return last_values(program, domain, axis, found, values, carry or {})

    def _public(self, program: Program, domain: Any, name: str, array: Any) -> Any:
        import numpy as np

        value = program[name]
        return (
            np.broadcast_to(array, (domain.batch, *array.shape[1:])) if not value.batched else array
        )

    # Seeing

    def unfold(
        self, *, mode: Mode = "teacher", detail: str = "node", **extents: int
    ) -> UnfoldedGraph:
        """Return the unfolded graph of a mode, as in `model.unfold(t=5, mode="free")`."""
        from unfold.unfolded.domain import Domain
        from unfold.unfolded.graph import UnfoldedGraph

        program = self.resolved(mode=mode)
        return UnfoldedGraph(program, Domain(program, extents), detail=detail)

    def measures(
        self, axis: str | None = None, count: str = "layers", *, mode: Mode = "teacher"
    ) -> Measures:
        """Return depth measures along an axis; see docs/measures.md."""
        from unfold.unfolded.measures import measures

        program = replace(self.resolved(mode=mode), outputs=self.program.outputs)
        chosen = axis or next((a for a in program.axes if a != BATCH), None)
        if chosen is None:
            raise UnsupportedError(f"{self.name} has no axis to measure along")
        return measures(program, axis=chosen, count=count)

    def explain(self, *, mode: Mode = "teacher") -> str:
        """Return the Program and its adjoint, readable."""
        from unfold.core.printing import show_program

        parts = [show_program(self.program)]
        if self.program.loss is not None:
            adjoint = self.adjoint(mode=mode, training=False)
            backward = adjoint.with_values(
                v for v in adjoint if v.name not in self.resolved(mode=mode).values
            )
            parts.append(
                "adjoint, what is added to it:\n"
                + show_program(adjoint, only=tuple(backward.values))
            )
        return "\n\n".join(parts)

    def summary(self) -> dict[str, Any]:
        """Return sizes, axes, parameters and measures as plain data."""
        from unfold.unfolded.domain import Domain

        extents = Domain(self.program).extents
        parameters = {
            v.name: [*(extents[a] for a in v.axes), *map(int, v.type.shape)]
            for v in self.program.parameters
        }
        counts = {n: _product(s) for n, s in parameters.items()}
        return {
            "name": self.name,
            "about": self.about,
            "axes": {a: n for a, n in extents.items() if a != BATCH},
            "sizes": dict(self.elaborated.sizes),
            "inputs": {v.name: v.type.show() for v in self.program.inputs},
            "parameters": parameters,
            "parameter_count": sum(counts.values()),
            "nodes": list(self.nodes),
            "outputs": list(self.program.outputs),
        }


def _product(shape: Iterable[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _prefixed(carry: Arrays | None) -> dict[str, Any]:
    return {f"carry.{n}": a for n, a in (carry or {}).items()}


__all__ = ["Fraction", "Model", "Run", "Step", "library", "load", "loads"]
