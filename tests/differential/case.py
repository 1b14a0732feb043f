"""A case: a random spec in pieces that can be taken away, and how it is run.

    Case(axes={"t": "6"}, sizes={"a": "3"}, inputs={"x1[t]": "[a]"}, …, run=Run(batch=2, …))

An expression is a tree of `Piece`s, so that a smaller one can stand in its place; `Case.text` is
the YAML of the spec. `Sample` is what remains of a case when it is written to a file: text and run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import yaml

Mode = str | tuple[str, float]


@dataclass(frozen=True)
class Piece:
    """A part of an expression.

    Attributes:
        template: its text, with `{0}`, `{1}` … for its parts.
        parts: the operands.
        tag: what it stands for in the histogram.
        bound: about how large its values get.
    """

    template: str
    parts: tuple[Piece, ...] = ()
    tag: str = ""
    bound: float = 1.0

    @property
    def text(self) -> str:
        """The expression as it is written in a spec."""
        return self.template.format(*(p.text for p in self.parts)) if self.parts else self.template

    @property
    def tags(self) -> Iterator[str]:
        """What occurs in it."""
        if self.tag:
            yield self.tag
        for part in self.parts:
            yield from part.tags

    def smaller(self) -> Iterator[Piece]:
        """Return the pieces that could stand in its place, those that take away most first."""
        yield from self.parts
        if not self.parts and self.template not in ("0.5", "1"):
            yield Piece("0.5")
            if "-2" in self.template or "-3" in self.template:
                yield replace(self, template=self.template.replace("-2", "-1").replace("-3", "-1"))
        for i, part in enumerate(self.parts):
            for other in part.smaller():
                yield replace(self, parts=(*self.parts[:i], other, *self.parts[i + 1 :]))


@dataclass(frozen=True)
class Equation:
    """One line of `nodes`: what stands on its left, its expression, and its options."""

    target: str
    piece: Piece
    options: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return it as it is written in a spec."""
        if not self.options:
            return [f"  {self.target}: {self.piece.text}"]
        options = [f"    {name}: {value}" for name, value in self.options.items()]
        return [f"  {self.target}:", f"    is: {self.piece.text}", *options]


@dataclass(frozen=True)
class Run:
    """How a spec is run.

    Attributes:
        batch: number of sequences.
        extents: of the axes that inputs have.
        lengths: per axis, one per sequence; empty: the extents.
        mode: "teacher", "free" or ("scheduled", p).
        training: whether dropout acts.
        seed: of random values.
        data: seed of parameters and inputs.
        chunks: how many runs in a row, each with the state of the one before.
        spare: how many more entries than needed parameters have along their axes.
        missing: inputs that free runs do without.
        garbage: whether the padding of real inputs is NaN.
        spoiled: whether there is NaN or infinity at one point of an input.
        alike: whether all elements of real inputs are one number, so that roundings do not cancel.
    """

    batch: int = 2
    extents: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[str, list[int]] = field(default_factory=dict)
    mode: Mode = "teacher"
    training: bool = True
    seed: int = 0
    data: int = 0
    chunks: int = 1
    spare: int = 0
    missing: tuple[str, ...] = ()
    garbage: bool = False
    spoiled: bool = False
    alike: bool = False

    def record(self) -> dict[str, Any]:
        """Return it as plain data, without what is the default."""
        default = Run()
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {n: v for n, v in plain.items() if v != getattr(default, n)}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in kept.items()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Run:
        """Return the run that a record describes."""
        plain: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in record.items()
        }
        return cls(**plain)


@dataclass(frozen=True)
class Sample:
    """A spec and how it is run: all that a comparison needs."""

    text: str
    run: Run

    def file(self, *notes: str) -> str:
        """Return what `--replay` reads: a spec with the run in its first line."""
        run = yaml.safe_dump({"run": self.run.record()}, default_flow_style=True, width=10**6)
        return "".join([f"# {run.strip()}\n", *(f"# {n}\n" for n in notes), self.text])

    @classmethod
    def read(cls, text: str) -> Sample:
        """Return the sample that a file holds."""
        first = text.partition("\n")[0].removeprefix("#")
        return cls(text, Run.of(yaml.safe_load(first)["run"]))


@dataclass(frozen=True)
class Case:
    """A random spec, section by section (targets to text), and how it is run."""

    axes: Mapping[str, str]
    sizes: Mapping[str, str]
    inputs: Mapping[str, str]
    parameters: Mapping[str, str]
    equations: tuple[Equation, ...]
    initial: Mapping[str, Piece]
    loss: tuple[Piece, ...]
    stop: str
    run: Run
    tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The spec."""
        lines = ["unfold: 1", "name: random", f"axes: {_flow(self.axes)}"]
        if self.sizes:
            lines.append(f"sizes: {_flow(self.sizes)}")
        for section in ("inputs", "parameters"):
            entries: Mapping[str, str] = getattr(self, section)
            if entries:
                lines += [f"{section}:", *(f"  {n}: {v}" for n, v in entries.items())]
        lines += ["nodes:", *(line for e in self.equations for line in e.lines())]
        if self.initial:
            lines += ["initial:", *(f"  {n}: {p.text}" for n, p in self.initial.items())]
        if self.stop:
            lines.append(f"stop: {self.stop}")
        if self.loss:
            lines.append(f"loss: {' + '.join(p.text for p in self.loss)}")
        return "\n".join([*lines, ""])

    @property
    def sample(self) -> Sample:
        """The text and the run."""
        return Sample(self.text, self.run)

    def features(self) -> Iterator[str]:
        """Return what occurs in it, for the histogram."""
        yield from self.tags
        pieces = [*(e.piece for e in self.equations), *self.initial.values(), *self.loss]
        for piece in pieces:
            yield from piece.tags


def _flow(entries: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{n}: {v}' for n, v in entries.items())}}}"
