"""A spec that is ready to write: it reads a prompt, writes piece after piece, keeps its state.

    machine = Machine(model.program, model.stop, execution)
    state = machine.read(given, prompt)                 the teacher's branch, one compiled run
    piece = machine.write(given, noise, 200, state)     the free branch, one compiled run
    piece = machine.write(given, noise, 200, piece.state)

A piece of 200 steps and 200 pieces of one step give the same numbers, unless the spec draws random
numbers that are not part of its feedback.

A spec that reads all of its past, such as a causal transformer, has no state of a few last values.
A piece then begins with the whole past as a prompt, and the cost of a step grows with its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unfold.core.op import Source
from unfold.core.origin import Carried
from unfold.core.paths import read_inputs
from unfold.core.program import BATCH, Program, StopRule
from unfold.errors import DataError, UnsupportedError
from unfold.execution.runs import Execution
from unfold.passes.carry import delays, remembered
from unfold.passes.decoding import (
    NOISE,
    SCORES,
    TOP_K,
    TOP_P,
    WARMTH,
    Feedback,
    choose,
    close,
    end_symbol,
    separate,
    settle,
    start_of,
)
from unfold.passes.modes import PROMPT, ProgramMode, prompted
from unfold.passes.pipeline import Pipeline

Array = np.ndarray
Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """The external arguments of a run.

    Attributes:
        params: by name.
        inputs: by name, [rows, ...]; those along the axis of the output hold all steps, those of
            the prompt first.
        lengths: by axis, of inputs that differ in length.
        rows: the number of sequences to write.
        backend: runs it.
        seed: of random numbers in the spec, such as a `sample` that is not fed back.
    """

    params: Arrays
    inputs: Arrays
    lengths: Mapping[str, Any]
    rows: int
    backend: str | None = None
    seed: int = 0

    def take(self, rows: Array) -> Given:
        """Return the arguments of some of the rows."""
        inputs = {n: np.asarray(a)[rows] for n, a in self.inputs.items()}
        lengths = {n: np.asarray(a)[rows] for n, a in self.lengths.items()}
        return replace(self, inputs=inputs, lengths=lengths, rows=len(rows))


@dataclass(frozen=True)
class State:
    """The position of a sequence.

    Attributes:
        step: the number of steps so far.
        carry: by value, [rows, delay, ...]; None before the first step.
        start: the value that the first step reads, [rows, ...], if the spec leaves it open.
        past: all output so far, [rows, steps, ...], the prompt included, if all of it counts.
    """

    step: int = 0
    carry: Arrays | None = None
    start: Array | None = None
    past: Array | None = None

    def take(self, rows: Array) -> State:
        """Return the state of some of the rows, in a new order."""
        carry = None if self.carry is None else {n: a[rows] for n, a in self.carry.items()}
        start, past = (None if a is None else a[rows] for a in (self.start, self.past))
        return replace(self, carry=carry, start=start, past=past)

    def saying(self, said: Iterable[str], symbol: Array) -> State:
        """Return the state after other last symbols, [rows, 1].

        Args:
            said: the values that are fed back.
            symbol: the last one of each row.
        """
        if self.past is not None:
            return replace(self, past=np.concatenate([self.past[:, :-1], symbol], axis=1))
        assert self.carry is not None
        return replace(self, carry={**self.carry, **dict.fromkeys(said, symbol)})


@dataclass(frozen=True)
class Piece:
    """The output of one run.

    Attributes:
        said: [rows, steps, ...].
        ends: where the stopping rule holds, [rows, steps].
        extent: how many steps are left of the predicted number when it begins, [rows]; None
            without a prediction.
        state: after it.
        scores: of the symbols, [rows, steps, classes]; None where they were not asked for.
    """

    said: Array
    ends: Array
    extent: Array | None
    state: State
    scores: Array | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Ready:
    """A Program of one mode, its inputs, and those of the mode that are not given."""

    program: Program
    inputs: AbstractSet[str]
    missing: AbstractSet[str]


class Along(Pipeline):
    """The Programs of a spec whose state is carried along a given axis."""

    def __init__(self, program: Program, axis: str) -> None:
        super().__init__(program)
        self.carry_axis = axis
        self.delays = delays(program, axis)


class Machine:
    """Reads and writes.

    Args:
        program: of the spec.
        stop: its stopping rule.
        execution: what runs Programs.
        feed: by input, the value that it reads a step later, where the spec has no feedback.
        narrow: whether `top_k` and `top_p` can be given.

    Attributes:
        loop: how output becomes input.
        end: the symbol that ends a sequence, where that is the stopping rule.
        at_most: the largest number of steps by the stopping rule.
        whole: whether a piece has to begin with all that was said before.

    Raises:
        UnsupportedError: the spec cannot write.
    """

    def __init__(
        self,
        program: Program,
        stop: StopRule | None,
        execution: Execution,
        feed: Mapping[str, str] | None = None,
        *,
        narrow: bool = False,
    ) -> None:
        looped = _closed(settle(program), feed or {})
        looped, self.loop = separate(looped)
        self.end, self._when, self._extent, self.at_most = _ending(looped, stop, self.loop)
        if self.loop.scores is not None:
            looped = choose(looped, self.loop, narrow=narrow)
        self.narrow = narrow
        self.program = looped
        self.execution = execution
        self.pipeline = Along(looped, self.loop.axis)
        free = self.pipeline.resolved(mode="free")
        rows = (v for v in free.parameters if self.loop.axis in v.axes)
        self.whole = bool(remembered(free, self.loop.axis)) or any(rows)
        self._draws = any(v.source is Source.RANDOM for v in looped)
        self._ready: dict[Any, _Ready] = {}

    @property
    def loop_type(self) -> Any:
        """The type of the output of one step."""
        return self.program[self.loop.said[0]].type

    @property
    def symbols(self) -> int | None:
        """The number of symbols to choose from; None if the spec writes numbers."""
        return int(self.loop_type.shape[0]) if self.loop_type.kind == "category" else None

    @property
    def needs_start(self) -> bool:
        """Whether the caller must give the value that the first step reads."""
        return start_of(self.loop.teacher).name in self.program.values

    @property
    def context(self) -> tuple[str, ...]:
        """The required inputs, without those that are fed back."""
        whole = self.pipeline.resolved(mode="free")
        own = {NOISE.name, start_of(self.loop.teacher).name}
        needed = (v.name for v in whole.inputs if v.name not in own)
        return tuple(n for n in needed if self.loop.said[0] in self.pipeline.without(whole, {n})[1])

    def rows(self, params: Arrays) -> tuple[str, int] | None:
        """Return the parameter with the fewest rows along the output's axis, and their number."""
        axis = self.loop.axis
        sizes = {
            v.name: np.shape(params[v.name])[v.axes.index(axis)]
            for v in self.pipeline.resolved(mode="free").parameters
            if axis in v.axes
        }
        return min(sizes.items(), key=lambda item: item[1], default=None)

    def room(self, inputs: Arrays) -> int | None:
        """Return the number of steps that have inputs; None if nothing bounds them."""
        axis = self.loop.axis
        free = self.pipeline.resolved(mode="free")
        along = [v for v in map(free.__getitem__, read_inputs(free)) if axis in v.axes]
        sizes = [
            np.shape(inputs[v.name])[v.axes.index(axis)]
            for v in along
            if v.name in inputs and v.name not in (self.loop.teacher, NOISE.name)
        ]
        return min(sizes, default=None)

    def options(
        self, count: int | None, share: float | None, temperature: float
    ) -> dict[str, float]:
        """Return the parameters that limit the symbols that take part.

        Args:
            count: the largest number of symbols; None: all.
            share: of the probability that they have; None: all.
            temperature: at which the probability is meant; 0 stands for 1.
        """
        if not self.narrow:
            return {}
        most = self.symbols or 1
        return {
            TOP_K.name: float(most if count is None else min(count, most)),
            TOP_P.name: 2.0 if share is None else share,  # more than all: the count decides
            WARMTH.name: 1.0 / (temperature or 1.0),
        }

    def read(self, given: Given, prompt: Array | None) -> State:
        """Return the state after a prompt, [rows, steps, ...].

        Raises:
            DataError: there is no prompt, and the spec leaves the start open.
        """
        if prompt is None:
            if self.needs_start:
                raise DataError(
                    f"{self.program.name} needs a prompt for"
                    f" {self.loop.teacher}, of at least one step"
                )
            return State()
        steps = prompt.shape[1] - 1 + self.loop.lead
        if self.whole:
            return State(steps, None, prompt[:, 0], prompt)
        if not steps:
            return State(start=prompt[:, 0])
        wanted = [n for n in self.pipeline.delays if n not in self.loop.said]
        more = {self.loop.teacher: prompt[:, :steps]}
        _, carry = self._run(given, "teacher", State(), steps, more, wanted)
        carry = {**carry, **{n: prompt[:, -1:] for n in self.loop.said}}
        return State(steps, carry, prompt[:, 0])

    def write(
        self,
        given: Given,
        noise: Array | None,
        steps: int,
        state: State,
        *,
        scores: bool = False,
    ) -> Piece:
        """Run freely for some steps.

        Args:
            given: parameters and inputs.
            noise: [rows, steps, classes]; None where numbers are written.
            steps: how many.
            state: where to go on.
            scores: whether they are wanted.
        """
        more: dict[str, Any] = {} if noise is None else {NOISE.name: noise}
        if self.needs_start:  # also where a state hides it
            more[start_of(self.loop.teacher).name] = state.start
        first = self.loop.said[0]
        asked = [first, *(n for n in (self._when, self._extent) if n)]
        asked += [SCORES.name] if scores else []
        run = self._again if self.whole else self._run
        values, carry = run(given, "free", state, steps, more, asked)
        said = np.broadcast_to(values[first], (given.rows, *values[first].shape[1:]))
        ends = np.zeros((given.rows, steps), bool)
        if self._when is not None:
            ends |= np.asarray(values[self._when], bool)
        if self.end is not None:
            ends |= said == self.end
        extent = None
        if self._extent is not None:
            predicted = np.rint(np.nan_to_num(values[self._extent].reshape(-1)))
            left = np.maximum(predicted - state.step, 1).astype(np.int64)
            extent = np.broadcast_to(left, (given.rows,))
        said = said.astype(np.int64) if self.symbols is not None else said
        after = State(state.step + steps, carry, state.start)
        if self.whole:
            before = said[:, :0] if state.past is None else state.past
            after = replace(after, carry=None, past=np.concatenate([before, said], axis=1))
        return Piece(said, ends, extent, after, values.get(SCORES.name))

    def _again(
        self,
        given: Given,
        mode: str,
        state: State,
        steps: int,
        more: Mapping[str, Any],
        wanted: Iterable[str],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run all past steps again, and some more; return values of the latter by name."""
        teacher, axis, before = self.loop.teacher, self.loop.axis, state.step
        empty = -1 if self.symbols is not None else 0.0
        tail = self.loop_type.stored
        whole = np.full((given.rows, before + steps, *tail), empty)
        read = 0 if state.past is None else state.past.shape[1]
        if state.past is not None:
            whole[:, :read] = state.past[:, : before + steps]
        feeds = {**more, teacher: whole}
        if NOISE.name in more:
            noise = more[NOISE.name]
            silence = np.zeros((given.rows, before, *noise.shape[2:]), noise.dtype)
            feeds[NOISE.name] = np.concatenate([silence, noise], axis=1)
        kind = np.asarray(next(iter(given.params.values()), 0.0)).dtype
        told = np.asarray(read + self.loop.lead if read else 0, kind)
        given = replace(given, params={**given.params, PROMPT.name: told})
        first = State(0, None, state.start)
        values, _ = self._run(given, prompted(axis), first, before + steps, feeds, wanted)
        place = {n: self.program[n].axes for n in values if n in self.program.values}
        cut = {
            n: np.asarray(values[n])[(slice(None),) * a.index(axis) + (slice(before, None),)]
            for n, a in place.items()
            if axis in a
        }
        return {**values, **cut}, {}

    def _run(
        self,
        given: Given,
        mode: ProgramMode,
        state: State,
        steps: int,
        more: Arrays,
        wanted: Iterable[str],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run one mode for some steps; return values by name, and the state."""
        feeds = {**self._part(given, state.step, steps), **more}
        feeds.update({Carried(n).name: a for n, a in (state.carry or {}).items()})
        ready = self._prepared(mode, state.carry is not None, frozenset(feeds), tuple(wanted))
        program, axis = ready.program, self.loop.axis
        lengths = {axis: np.full(given.rows, steps), **given.lengths}
        values, domain = self.execution.run(
            given.backend,
            program,
            given.params,
            {n: a for n, a in feeds.items() if n in ready.inputs},
            lengths={a: n for a, n in lengths.items() if a in program.axes},
            seed=given.seed + state.step * self._draws,
            batch=given.rows,
        )
        return values, self.pipeline.state(values, domain.length, ready.missing)

    def _prepared(
        self, mode: ProgramMode, carried: bool, feeds: frozenset[str], wanted: tuple[str, ...]
    ) -> _Ready:
        """Return the Program of a mode that computes some values from its inputs.

        Raises:
            DataError: an input is missing.
        """
        key = (mode, carried, feeds, wanted)
        if key not in self._ready:
            pipeline = self.pipeline
            whole = pipeline.resolved(mode=mode, carry=carried)
            missing = frozenset(v.name for v in whole.inputs) - feeds
            kept, lost = pipeline.without(whole, missing)
            names = [n for n in dict.fromkeys(wanted) if n in whole.values]
            if mode != "teacher" and (gone := [n for n in names if n in lost]):
                needed = [n for n in sorted(missing) if gone[0] in pipeline.without(whole, {n})[1]]
                raise DataError(f"input {', '.join(needed)} is missing; {gone[0]} depends on it")
            own = pipeline.only(kept, [n for n in names if n not in lost])
            program = own if self.whole else pipeline.with_state(own)
            self._ready[key] = _Ready(program, {v.name for v in program.inputs}, missing)
        return self._ready[key]

    def _part(self, given: Given, start: int, steps: int) -> dict[str, Any]:
        """Return inputs, those along the axis of the output for some steps."""
        axis, found = self.loop.axis, dict[str, Any]()
        for name, array in given.inputs.items():
            if name == self.loop.teacher or name not in self.program.values:
                continue
            axes = self.program[name].axes
            if axis in axes:
                at = (slice(None),) * axes.index(axis)
                array = np.asarray(array)[(*at, slice(start, start + steps))]
            found[name] = array
        return found


def _closed(program: Program, feed: Mapping[str, str]) -> Program:
    """Return a Program with a feedback, its own or one from an output to an input."""
    if program.feedbacks:
        return program
    if len(feed) > 1:
        raise UnsupportedError(f"only one input can be fed with output, not {', '.join(feed)}")
    for reads, says in feed.items():
        for name in (reads, says):
            if program.aliases.get(name, name) not in program.values:
                raise UnsupportedError(f"{program.name} has no {name} to feed back")
        return close(program, reads, program[says].name)
    category = next((v.name for v in program.inputs if v.type.kind == "category"), None)
    reads = category or next((v.name for v in program.inputs), "x")
    output = next(iter(program.outputs), "o")
    raise UnsupportedError(
        f"{program.name} cannot generate: the spec does not define how its output becomes its next "
        f"input\n"
        f"  help: feed it back in the spec, as in  prev[t]: feedback(teacher=y[t-1],"
        f" free=argmax({output}[t-1]))\n"
        f"        or name the input that reads an output:  generate: "
        f"{{feed: {{{reads}: {output}}}}}"
    )


def _ending(
    program: Program, stop: StopRule | None, loop: Feedback
) -> tuple[int | None, str | None, str | None, int | None]:
    """Return the end symbol, the condition, the prediction and the bound of a stopping rule."""
    if stop is None:
        return None, None, None, None
    end, when = None, stop.when
    if when is not None:
        axes = [a for a in program[when].axes if a != BATCH]
        if axes != [loop.axis]:
            raise UnsupportedError(
                f"{program.name} generates along {loop.axis}, but its stop is along {axes[0]}"
            )
        end = end_symbol(program, loop, when)
    other = [a for a in stop.extents if a != loop.axis]
    if other:
        raise UnsupportedError(
            f"{program.name} generates along {loop.axis}, but its stop predicts {', '.join(other)}"
        )
    return end, None if end is not None else when, stop.extents.get(loop.axis), stop.at_most
