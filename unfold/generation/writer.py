"""Writing: free runs of a spec, from a start, a prompt or a context, until something ends them.

    writer = Writer(program, stop, execution)
    writer.write(params, prompt=codes, length=300, decoding=Decoding(temperature=0.7), seed=1)

    prompt ──teacher──▶ state ──free, one compiled run──▶ symbols ──end, condition, extent──▶ cut

Every row of the output has separate random numbers, so the first rows of twenty equal those of two.
The division into pieces does not change a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from unfold.core.program import Program, StopRule
from unfold.errors import DataError, UnsupportedError
from unfold.execution.runs import Execution, element_type
from unfold.generation.beam import search
from unfold.generation.decoding import Decoding, Noise
from unfold.generation.machine import Given, Machine, State
from unfold.runs.domain import Domain

Array = np.ndarray
Arrays = Mapping[str, Any]
NO_SYMBOL = -1


@dataclass(frozen=True)
class Written:
    """The written output.

    Attributes:
        values: [rows, steps, ...]; beyond a row's own length -1 for symbols, 0 for numbers.
        lengths: [rows], the end symbol included.
        log_probability: of each row, [rows], if a beam search found it.
    """

    values: Array
    lengths: Array
    log_probability: Array | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> Array:
        return self.values[row, : self.lengths[row]]


@dataclass(frozen=True)
class Wish:
    """A request for output.

    Attributes:
        inputs: arrays [contexts, *axes, *shape] by name, as `forward` takes them.
        prompt: the beginning of the output, [steps, ...] or [contexts, steps, ...]; not repeated
            in the result.
        length: the largest number of steps; the stopping rule of the spec may end it earlier.
        number: the number of rows to write for each context.
        end: a symbol that ends a row, in addition to the stopping rule of the spec.
        decoding: the choice of symbols.
        seed: of the draws.
        lengths: by axis, of inputs that differ in length.
        feed: by input, the value that it reads a step later; default: that of the spec.
    """

    inputs: Arrays = field(default_factory=dict[str, Any])
    prompt: Any = None
    length: int | None = None
    number: int = 1
    end: int | None = None
    decoding: Decoding = field(default_factory=Decoding)
    seed: int = 0
    lengths: Mapping[str, Any] = field(default_factory=dict[str, Any])
    feed: Mapping[str, str] | None = None


def make_wish(inputs: Arrays | None = None, **options: Any) -> Wish:
    """Return a wish from plain arguments, those of `Wish` and of `Decoding`.

    Raises:
        DataError: an option is out of range.
    """
    rules = {f.name: options.pop(f.name) for f in fields(Decoding) if f.name in options}
    if rules:
        options["decoding"] = Decoding(**rules)
    return Wish(inputs=inputs or {}, **options)


class Writer:
    """Writes with a spec, and keeps plans and compiled code.

    Args:
        program: of the spec.
        stop: its stopping rule.
        execution: what runs Programs.
        feed: by input, the value that it reads a step later, where the spec has no feedback.
    """

    def __init__(
        self,
        program: Program,
        stop: StopRule | None,
        execution: Execution,
        feed: Mapping[str, str] | None = None,
    ) -> None:
        self._program, self._stop, self._execution = program, stop, execution
        self._feed = feed or {}
        self._machines: dict[Any, Machine] = {}

    def machine(self, feed: Mapping[str, str] | None = None, *, narrow: bool = False) -> Machine:
        """Return the spec, ready to write.

        Raises:
            UnsupportedError: it cannot write.
        """
        own = self._program.feedbacks
        if feed and own:
            raise UnsupportedError(
                f"{own[0].at}: {own[0].node} is already a feedback\n"
                f"  help: remove  feed: {{{', '.join(f'{x}: {o}' for x, o in feed.items())}}}"
            )
        feed = self._feed if feed is None else feed
        key = (tuple(feed.items()), narrow)
        if key not in self._machines:
            self._machines[key] = Machine(
                self._program, self._stop, self._execution, feed, narrow=narrow
            )
        return self._machines[key]

    def generate(
        self,
        params: Arrays,
        inputs: Arrays | None = None,
        *,
        backend: str | None = None,
        **options: Any,
    ) -> Written:
        """Return the output for plain arguments in place of a `Wish`.

        Args:
            params: by name.
            inputs: arrays [contexts, *axes, *shape] by name, as `forward` takes them.
            backend: what computes.
            options: prompt, length, number, end, seed, lengths, feed (see `Wish`); temperature,
                top_k, top_p, beam, length_penalty (see `Decoding`).

        Raises:
            DataError: arrays or options that do not fit.
            UnsupportedError: the spec cannot write, or not in this way.
        """
        return self.write(params, make_wish(inputs, **options), backend=backend)

    def write(self, params: Arrays, wish: Wish, *, backend: str | None = None) -> Written:
        """Return the output of one run of compiled code.

        Raises:
            DataError: arrays or options that do not fit.
            UnsupportedError: the spec cannot write, or not in this way.
        """
        if wish.decoding.beam is not None:
            return self._search(params, wish, backend)
        pieces = list(self.stream(params, wish, backend=backend))
        values = np.concatenate([p.values for p in pieces], axis=1)
        lengths = np.sum([p.lengths for p in pieces], axis=0)
        longest = int(lengths.max())
        return Written(_blank(values[:, :longest], lengths), lengths)

    def stream(
        self, params: Arrays, wish: Wish, *, backend: str | None = None, chunk: int | None = None
    ) -> Iterator[Written]:
        """Yield the output piece by piece, with the same values as in one piece.

        Args:
            params: by name.
            wish: the request; without a beam.
            backend: runs it.
            chunk: steps of a piece; default: all of them.
        """
        rule = wish.decoding
        machine = self.machine(wish.feed, narrow=rule.narrows)
        if machine.loop.scores is None and (rule.narrows or rule.temperature):
            what = "is the largest of no scores" if machine.symbols else "is numbers"
            raise UnsupportedError(
                f"{self._program.name}: {machine.loop.teacher} {what}, so there are no "
                f"scores to draw from\n  help: remove temperature, top-k and top-p"
            )
        given, state, left = self._begin(machine, params, wish, backend)
        chunk = None if machine.whole else chunk  # what is written needs all that was
        noise = Noise(wish.seed, given.rows, rule.warmth(machine.loop.temperature))
        kind, bound = element_type(params, wish.inputs), np.full(given.rows, left)
        written = 0
        while left:
            steps = min(left, chunk or left)
            drawn = noise.next(steps, (machine.symbols or 0,), kind)
            piece = machine.write(
                given,
                drawn if machine.loop.scores is not None else None,
                steps,
                state,
            )
            if written == 0 and piece.extent is not None:
                bound = np.minimum(bound, piece.extent)
            ends = piece.ends | (piece.said == wish.end if wish.end is not None else False)
            here = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, steps)
            lengths = np.clip(np.minimum(bound - written, here), 0, steps)
            bound = np.where(ends.any(axis=1), np.minimum(bound, written + here), bound)
            yield Written(_blank(piece.said, lengths), lengths)
            state, left, written = piece.state, left - steps, written + steps
            if (bound <= written).all():
                return

    def _search(self, params: Arrays, wish: Wish, backend: str | None) -> Written:
        machine, width = self.machine(wish.feed), wish.decoding.beam or 1
        if machine.loop.scores is None:
            raise UnsupportedError(
                f"{self._program.name} generates no symbols with scores, so there is "
                f"nothing to search"
                "\n  help: drop beam"
            )
        if wish.number > width:
            raise DataError(f"{width} beams cannot give {wish.number} sequences; use more beams")
        given, state, steps = self._begin(machine, params, wish, backend, number=1)
        found = search(
            machine,
            given,
            state,
            steps,
            width=width,
            end=wish.end,
            penalty=wish.decoding.length_penalty,
            best=wish.number,
        )
        lengths = found.lengths.reshape(-1)
        values = found.said.reshape(len(lengths), -1)[:, : int(lengths.max())]
        return Written(values, lengths, found.log_probability.reshape(-1))

    def _begin(
        self,
        machine: Machine,
        params: Arrays,
        wish: Wish,
        backend: str | None,
        number: int | None = None,
    ) -> tuple[Given, State, int]:
        """Return the arguments, the state after the prompt, and the number of remaining steps."""
        number, rule = wish.number if number is None else number, wish.decoding
        options = machine.options(rule.top_k, rule.top_p, rule.warmth(machine.loop.temperature))
        kind = element_type(params, wish.inputs)
        params = {**params, **{n: np.asarray(x, kind) for n, x in options.items()}}
        prompt = _prompt(machine, wish.prompt)
        sizes = {n: len(a) for n, a in wish.inputs.items() if np.ndim(a)}
        contexts = max([*sizes.values(), 1 if prompt is None else len(prompt)])
        for name, size in sizes.items():
            if size != contexts:
                raise DataError(
                    f"input {name} has {size} rows, but another input or the prompt has {contexts}"
                )
        rows = np.repeat(np.arange(contexts), number)
        given = Given(params, wish.inputs, wish.lengths, contexts, backend, wish.seed).take(rows)
        if prompt is not None:
            if len(prompt) not in (1, contexts):
                raise DataError(f"there are {len(prompt)} prompts for {contexts} inputs")
            prompt = np.broadcast_to(prompt, (contexts, *prompt.shape[1:]))[rows]
        length = self._length(machine, wish, params, 0 if prompt is None else prompt.shape[1])
        return given, machine.read(given, prompt), length

    def _length(self, machine: Machine, wish: Wish, params: Arrays, read: int) -> int:
        """Return the largest number of steps."""
        length = wish.length
        if length is not None and length < 1:
            raise DataError(f"length {length}: expected at least 1 step")
        room = machine.room(wish.inputs)
        if room is not None:
            room -= read - 1 + machine.loop.lead if read else 0
            if room < 1:
                raise DataError(
                    f"the prompt has {read} steps, which leaves no inputs to continue with"
                )
        rows = machine.rows(params)
        if rows is not None:
            name, most = rows
            most -= read - 1 + machine.loop.lead if read else 0
            if most < max(length or 1, 1):
                raise DataError(
                    f"{self._program.name} generates at most {max(most, 0)} steps"
                    f"{f' after {read} of a prompt' if read else ''}: its parameter {name} has"
                    f" {rows[1]} rows along {machine.loop.axis}, one for each step; found"
                    f" length {length or 1}"
                )
            room = most if room is None else min(room, most)
        default = machine.at_most or room or Domain(self._program).extents[machine.loop.axis]
        bounds = [default if length is None else length, machine.at_most, room]
        return min(b for b in bounds if b is not None)


def _prompt(machine: Machine, prompt: Any) -> Array | None:
    """Return a prompt as [contexts, steps, ...].

    Raises:
        DataError: it has no steps, another rank or unknown symbols.
    """
    if prompt is None:
        return None
    array = np.asarray(prompt)
    symbols, own = machine.symbols, () if machine.symbols else machine.loop_type.stored
    if array.ndim == 1 + len(own):
        array = array[None]
    if array.ndim != 2 + len(own) or array.shape[2:] != tuple(map(int, own)):
        wanted = "".join(f", {int(n)}" for n in own)
        raise DataError(
            f"the prompt has the shape {list(array.shape)}; expected [steps{wanted}]"
            f" or [rows, steps{wanted}]"
        )
    if array.shape[1] < 1:
        raise DataError("the prompt is empty; omit it, or give it at least one step")
    if symbols is not None:
        if array.dtype.kind not in "iu":
            raise DataError(f"the prompt contains {array.dtype}; symbols must be whole numbers")
        if array.min() < NO_SYMBOL or array.max() >= symbols:
            raise DataError(f"the prompt contains a symbol outside 0 to {symbols - 1}")
    return array


def _blank(values: Array, lengths: Array) -> Array:
    """Return values with nothing beyond each row's own length."""
    inside = np.arange(values.shape[1]) < lengths[:, None]
    inside = inside.reshape(*inside.shape, *(1,) * (values.ndim - 2))
    return np.where(inside, values, NO_SYMBOL if values.dtype.kind == "i" else 0)
