"""The Python interface: load a spec, run it, differentiate it, unfold it, draw it.

    model = unfold.load("hello", sizes={"hidden": 8}, axes={"t": 4})
    params = model.init(seed=0)
    loss, grads = model.value_and_grad(params, {"x": x, "target": y})
    model.unfold(t=4).to_svg()

Arrays are [batch, *axes in the order of the node's key, *shape]; a category is an integer array
without a feature dimension, and -1 stands for no category. This module and the command line are the
only ones that name all stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unfold.ops  # noqa: F401  (fills the op table)
from unfold.backends import MEANING
from unfold.core.origin import Direction
from unfold.core.printing import shapes_of, show_program
from unfold.core.program import BATCH, Program
from unfold.errors import DataError, UnsupportedError
from unfold.passes.differentiate import adjoint_name
from unfold.passes.modes import Mode
from unfold.passes.pipeline import Pipeline
from unfold.shipped import find
from unfold.shipped import library as library
from unfold.spec.file.model import Spec
from unfold.spec.meaning.elaborate import Elaborated, elaborate
from unfold.spec.text.reader import read_file

if TYPE_CHECKING:
    from unfold.backends.protocol import Backend
    from unfold.drawing import Figure
    from unfold.drawing.unfolding import Unfolding
    from unfold.execution.memory import Checkpoint, Memory
    from unfold.execution.runs import Execution
    from unfold.explain.describe import Description
    from unfold.generation import Writer, Written
    from unfold.runs.results import Run, Step
    from unfold.unfolded.cost import Cost
    from unfold.unfolded.measures import Measures

Arrays = Mapping[str, Any]


def load(
    path: str | Path,
    *,
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
) -> Model:
    """Load a spec from a file.

    Args:
        path: a YAML file, or the name of a spec that comes with the package (`unfold specs`).
        sizes: values in place of the file's `sizes`.
        axes: extents in place of the file's `axes`.

    Raises:
        SpecError: every independent mistake of the file, each with its place.
    """
    file = str(find(path))
    return loads(read_file(file), file=file, sizes=sizes, axes=axes)


def loads(
    text: str,
    *,
    file: str = "<string>",
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
) -> Model:
    """Load a spec from text; see `load`."""
    return Model(elaborate(text, file, sizes=sizes, axes=axes))


class Model:
    """A spec that can be run.

    Args:
        elaborated: what a file means, from `unfold.spec.meaning.elaborate`.
    """

    def __init__(self, elaborated: Elaborated) -> None:
        self.elaborated = elaborated
        self.pipeline = Pipeline(elaborated.program)
        if elaborated.spec.memory is not None:
            from unfold.execution.memory import Memory
            from unfold.settings.memory import read_memory

            asked = read_memory(elaborated.spec.memory)
            self.memory = Memory(asked.checkpoint, asked.budget)

    @cached_property
    def _execution(self) -> Execution:
        """The runs on backends, made on first use, since checking a spec runs nothing."""
        from unfold.execution.runs import Execution

        return Execution()

    def __repr__(self) -> str:
        return f"<Model {self.name}: {len(self.pipeline.nodes)} nodes>"

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

    @property
    def memory(self) -> Memory:
        """The memory that runs may take, and whether they recompute segments: section `memory`."""
        return self._execution.memory

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self._execution.memory = memory

    def init(self, seed: int = 0, dtype: str = "float64") -> dict[str, Any]:
        """Return fresh parameters, learned initial states included, [*axes, *shape] by name."""
        from unfold.runs.domain import Domain
        from unfold.training.initialize import initialize

        extents = Domain(self.program).extents
        folder = Path(self.spec.file).parent
        return initialize(self.program, extents, seed=seed, dtype=dtype, folder=folder)

    # Running

    def forward(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        backend: str | None = None,
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        carry: Arrays | None = None,
        begins: Any = None,
        training: bool = False,
        batch: int | None = None,
        state: bool = True,
    ) -> Run:
        """Run forward. In free mode a spec's `stop` determines the length of each sequence.

        Args:
            params: from `init`.
            inputs: arrays [batch, *axes, *shape]. You can omit those that only the loss or teacher
                forcing uses.
            backend: "numba" (compiled, in the precision of the parameters) or "reference"
                (slow and obvious, float64); default: $UNFOLD_BACKEND, or "numba".
            mode: "teacher", "free" or ("scheduled", p).
            lengths: per axis, the length of each sequence, [batch].
            seed: of random values.
            carry: the state of the previous chunk (`Run.carry`).
            begins: which sequences begin in this chunk all the same, [batch].
            training: whether dropout acts.
            batch: number of sequences where there are no inputs.
            state: whether to compute the state for the next chunk, as long as the longest delay.

        Raises:
            DataError: arrays that do not fit.
        """
        from unfold.execution.asked import Asked, chunk_of, with_share
        from unfold.execution.steps import stopped
        from unfold.runs.results import Run, whole_batch

        kind, params = with_share(mode, params)
        chunk, carried = chunk_of(carry, begins)
        options: dict[str, Any] = {"mode": kind, "training": training, "chunk": chunk}
        whole = self.pipeline.resolved(**options, carry=carry is not None)
        feeds = {**inputs, **{n: a for n, a in carried.items() if n in whole.values}}
        program = self._without(whole, feeds)
        unknown = {v.name for v in whole.inputs if v.name not in feeds}
        if mode == "free":
            rule = self.elaborated.stop
            if rule is not None and all(n in program.values for n in rule.values):
                feeds_of = Asked(params, feeds, (), {}, backend, lengths, seed)
                lengths = stopped(self._execution, self.pipeline, program, rule, feeds_of, batch)
        program = self.pipeline.with_state(program) if state else program
        values, domain = self._execution.run(
            backend, program, params, feeds, lengths=lengths, seed=seed, batch=batch
        )
        shown = [n for n in (*self.pipeline.nodes, *inputs) if n in values]
        loss = float(values[program.loss].item()) if program.loss else None
        return Run(
            {n: whole_batch(values[n], program[n], domain) for n in shown},
            loss,
            self.pipeline.state(values, domain.length, unknown),
            {a: domain.length(a) for a in self.program.axes if a != BATCH},
            self.program.aliases,
        )

    def value_and_grad(
        self, params: Arrays, inputs: Arrays, **options: Any
    ) -> tuple[float, dict[str, Any]]:
        """Return the loss and its gradients by name; arguments as in `step`."""
        found = self.step(params, inputs, **{"state": False, **options})
        return found.loss, found.grads

    def step(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        wrt: Iterable[str] | None = None,
        backend: str | None = None,
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
        carry: Arrays | None = None,
        begins: Any = None,
        known: Any = None,
        overlap: int = 0,
        training: bool = True,
        checkpoint: Checkpoint | str | None = None,
        state: bool = True,
    ) -> Step:
        """Return loss, gradients and the state for the next chunk.

        Args:
            params, inputs, backend, mode, lengths, seed, carry, begins, training, state: `forward`.
            wrt: names to differentiate by: parameters, real inputs, carried states (`carry.h`);
                default: all parameters that are not frozen.
            known: how many of each sequence's first steps an earlier loss has counted, [batch]:
                here only gradients flow through them.
            overlap: how many of the last steps the next chunk begins with, after its state.
            checkpoint: the steps of a segment, to recompute segments in the memory of one: a
                number, or {axis: number}; "auto": if a whole run would not fit. Default: that of
                the section `memory`. The reference, which defines the meaning, ignores it.

        Raises:
            DataError: arrays do not fit, or the loss has no gradient by a name.
            UnsupportedError: the spec has no loss, or cannot be cut into segments.
            MemoryLimitError: the run would not fit; the message names a setting that would.
        """
        from unfold.execution.asked import Asked, chunk_of, with_share
        from unfold.execution.steps import step

        names = self.pipeline.wrt(wrt)
        if carry is None and (states := [n for n in names if n in self.pipeline.states]):
            what = f"cannot differentiate with respect to {states[0]} without a state"
            raise DataError(f"{what}; give one, as in  carry=model.forward(…).carry")
        kind, params = with_share(mode, params)
        chunk, own = chunk_of(carry, begins, known, overlap)
        options = {"mode": kind, "training": training, "carry": carry is not None, "chunk": chunk}
        asked = Asked(params, {**inputs, **own}, names, options, backend, lengths, seed, state, own)
        memory = self._execution.memory
        chosen = memory.checkpoint if checkpoint is None else checkpoint
        return step(self._execution, self.pipeline, asked, memory, chosen)

    def hessian_vector(
        self,
        params: Arrays,
        inputs: Arrays,
        direction: Arrays,
        *,
        backend: str | None = None,
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return the Hessian of the loss times a direction, by differentiating twice.

        Args:
            params, inputs, mode, lengths, seed: as in `forward`.
            direction: arrays of the parameters' shapes, by name.
        """
        names = self.pipeline.wrt(direction)
        program = self.pipeline.curvature(names, mode=mode)
        feeds = {**params, **{Direction(n).name: a for n, a in direction.items()}}
        values, _ = self._execution.run(backend, program, feeds, inputs, lengths=lengths, seed=seed)
        return {n: values[adjoint_name(n, 2)][0] for n in names}

    def _without(self, program: Program, feeds: Arrays) -> Program:
        """Drop the equations that need a missing input; the declared outputs must remain."""
        missing = {v.name for v in program.inputs} - set(feeds)
        kept, lost = self.pipeline.without(program, missing)
        for name in self.program.outputs:
            if name in lost:
                absent = ", ".join(sorted(missing))
                raise DataError(f"input {absent} is missing; {name} depends on it")
        return kept

    # Writing

    def generate(self, params: Arrays, inputs: Arrays | None = None, **wish: Any) -> Written:
        """Generate: each output becomes the next input; see `Writer.generate`."""
        return self.writer.generate(params, inputs, **wish)

    @cached_property
    def writer(self) -> Writer:
        """The writer of the spec, which can also write piece by piece."""
        from unfold.generation import Writer, feed_of

        return Writer(self.program, self.elaborated.stop, self._execution, feed_of(self.spec))

    # Seeing

    def unfold(self, *, mode: Mode = "teacher", detail: str = "node", **extents: int) -> Unfolding:
        """Return the unfolded graph of a mode, as in `model.unfold(t=5, mode="free")`."""
        from unfold.drawing.unfolding import Unfolding
        from unfold.runs.domain import Domain

        program = self.pipeline.resolved(mode=mode)
        return Unfolding(
            program,
            Domain(program, extents),
            detail=detail,
            feedback=[v.name for v in self.program.feedbacks],
            draw=lambda: self.draw("unfolded", extents=extents, detail=detail, mode=mode),
        )

    def measures(
        self,
        axis: str | None = None,
        count: str = "layers",
        *,
        direction: int | None = None,
        mode: Mode = "teacher",
    ) -> Measures:
        """Return depth measures along an axis; see docs/measures.md.

        Args:
            axis: default: the first axis.
            count: the unit of length: "layers", "nodes" or "ops".
            direction: +1 or -1 to measure recurrences of one direction only.
            mode: the active branch of a `feedback`.
        """
        from unfold.unfolded.measures import measures

        chosen = axis or next((a for a in self.program.axes if a != BATCH), None)
        if chosen is None:
            raise UnsupportedError(f"{self.name} has no axis to measure along")
        program = self.pipeline.resolved(mode=mode)
        return measures(program, chosen, count, direction, outputs=self.program.outputs)

    def cost(self, *, batch: int = 1, mode: Mode = "teacher", **extents: int) -> Cost:
        """Return work, span, parameters, state, operations and bytes of a run, and of training."""
        from unfold.runs.domain import Domain
        from unfold.unfolded.cost import cost

        program = self.pipeline.resolved(mode=mode)
        adjoint = None
        if self.program.loss is not None:
            adjoint = self.pipeline.adjoint(self.pipeline.wrt(None), mode=mode, training=False)
        domain = Domain(program, extents, batch=batch)
        return cost(program, domain, axis=self.pipeline.carry_axis, adjoint=adjoint)

    def draw(
        self,
        view: str = "unfolded",
        *,
        steps: int | Mapping[str, int] | None = None,
        extents: Mapping[str, int] | None = None,
        detail: str = "node",
        mode: Mode = "teacher",
        params: Arrays | None = None,
        inputs: Arrays | None = None,
        lengths: Mapping[str, Any] | None = None,
    ) -> Figure:
        """Return a picture, which notebooks display and `.save(path)` writes.

        Args:
            view: "folded", "unfolded", "backward" (the adjoint unfolded), "gradients" (the norms of
                gradients on the forward picture; needs `params` and `inputs`) or "compare"
                (teacher beside free).
            steps: how many points of each axis to draw; longer axes are elided.
            extents: extents of axes; default: those of the inputs, or of the spec.
            detail: "cell", "node" or "op".
            mode: the active branch of a `feedback`.
            params, inputs, lengths: a run, whose ranges of values appear on hovering.
        """
        from unfold import drawing

        if view not in drawing.VIEWS:
            raise UnsupportedError(f"unknown view {view}; choose {', '.join(drawing.VIEWS)}")
        chosen, pipeline, run = drawing.VIEWS[view], self.pipeline, None
        given: dict[str, Any] = {"mode": mode, "lengths": lengths}
        if params is not None and inputs is not None:
            run = self.forward(params, inputs, state=False, **given)
            extents = {a: int(max(n)) for a, n in run.lengths.items()} | dict(extents or {})
        elif chosen.values:
            raise UnsupportedError(f"a picture of {view} needs params and inputs")
        scene = drawing.Scene(
            self.program,
            steps=steps,
            extents=extents or {},
            detail=detail,
            mode=mode,
            options=drawing.read_options(self.spec.draw, self.program),
            run=run,
            adjoint=lambda: pipeline.adjoint(pipeline.wrt(None), mode=mode, training=False),
            norms=lambda: self.gradient_norms(
                params or {}, inputs or {}, mode=mode, lengths=lengths
            ),
        )
        return chosen.draw(scene)

    def render(self, view: str = "unfolded", *, format: str = "svg", **options: Any) -> str | bytes:
        """Return a picture as "svg", "dot" (text), "png" or "pdf" (bytes); see `draw`."""
        return self.draw(view, **options).render(format)

    def gradient_norms(
        self,
        params: Arrays,
        inputs: Arrays,
        *,
        mode: Mode = "teacher",
        lengths: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return the norm of the loss's gradient by every node, at each index point [*axes].

        The norm is taken over the batch and the features; arguments as in `forward`.
        """
        from unfold.runs.results import norms

        program = self.pipeline.adjoint(self.pipeline.wrt(None), mode=mode, training=False)
        given = (params, inputs)
        values, _ = self._execution.run(MEANING, program, *given, lengths=lengths, seed=seed)
        names = [n for n in self.pipeline.nodes if adjoint_name(n) in values]
        return norms(program, {n: values[adjoint_name(n)] for n in names})

    def explain(self, *, mode: Mode = "teacher") -> str:
        """Return the Program and its adjoint, readable."""
        text = show_program(self.program)
        if self.program.loss is None:
            return text
        adjoint = self.pipeline.adjoint(self.pipeline.wrt(None), mode=mode, training=False)
        forward = self.pipeline.resolved(mode=mode).values
        added = [v.name for v in adjoint if v.name not in forward]
        return f"{text}\n\nits adjoint adds\n{show_program(adjoint, only=added)}"

    def plan(
        self, *, gradients: bool = True, mode: Mode = "teacher", batch: int = 1, **extents: int
    ) -> Description:
        """Describe how a step, or a forward run, is compiled, and the cost of each part."""
        if gradients:
            program = self.pipeline.adjoint(self.pipeline.wrt(None), mode=mode, state=True)
        else:
            program = self.pipeline.with_state(self.pipeline.resolved(mode=mode))
        return self._execution.describe(program, {**extents, BATCH: batch})

    def needs(
        self,
        *,
        batch: int = 1,
        dtype: str = "float64",
        mode: Mode = "teacher",
        state: bool = True,
        backend: str | None = None,
        **extents: int,
    ) -> tuple[int, str]:
        """Return the bytes that a step takes on a backend, and the way in which it runs."""
        from unfold.execution.steps import estimate
        from unfold.runs.domain import Domain

        domain = Domain(self.program, extents, None, batch)
        options = {"mode": mode, "training": True, "carry": False}
        run = self._execution, backend, self.pipeline
        return estimate(*run, domain, options, dtype, state=state)

    def backend(self, name: str | None = None) -> Backend:
        """Return the backend of the model, which reports its memory and times its blocks."""
        return self._execution.backend(name)

    def summary(self) -> dict[str, Any]:
        """Return sizes, axes, inputs, parameters and nodes as plain data."""
        from unfold.runs.domain import Domain

        extents = Domain(self.program).extents
        return {
            "name": self.name,
            "about": self.about,
            "axes": {a: n for a, n in extents.items() if a != BATCH},
            "sizes": dict(self.elaborated.sizes),
            **shapes_of(self.program, extents),
            "nodes": list(self.pipeline.nodes),
            "outputs": list(self.program.outputs),
        }
