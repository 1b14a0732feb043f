"""`unfold generate`: what a trained run writes.

    unfold generate runs/char-rnn-1 --prompt "The " --length 500 --temperature 0.7
    unfold generate runs/captions-1 --number 5              from contexts out of its data
    unfold generate runs/sunspots-1 -o forecast.svg         numbers: a table, and a picture

Text comes out piece by piece on a terminal, and is the same text everywhere. What is written goes
to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unfold.errors import Location, UnfoldError, printable
from unfold.files import explain, write_whole
from unfold.generation import Alphabet, Wish, Written
from unfold.generation.machine import Machine
from unfold.generation.picture import Format
from unfold.terminal.forecast import forecast
from unfold.terminal.loading import ChangedSection, choose_backend
from unfold.terminal.progress import show_compiling
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo, paint
from unfold.terminal.trained import (
    Line,
    Result,
    Trained,
    context_of,
    open_trained,
    read_inputs,
)
from unfold.terminal.writing import text_wish
from unfold.training.settings import GenerateSettings, read_generate

Array = np.ndarray
CHUNK = 16
PICTURES: Mapping[str, Format] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
DRAWING = ("temperature", "top_k", "top_p")


@dataclass(frozen=True)
class Request:
    """What the command line says.

    Attributes:
        run: the folder of a run.
        settings: keys of the section `generate` in place of those of the spec; None: not given.
        inputs: a file of arrays to write from.
        output: a file for what is written, or for a picture of it.
        backend: what computes; default: that of the run.
    """

    run: str
    settings: Mapping[str, Any]
    inputs: str | None
    output: str | None
    backend: str | None


def generate(asked: Request, *, as_json: bool) -> int:
    """Write with a trained run and return the exit code."""
    trained = open_trained(asked.run, lambda text: echo(paint(text, fg="yellow"), err=True))
    if asked.backend is not None:
        trained = replace(trained, backend=choose_backend(asked.backend))
    settings = _settings(trained, asked.settings)
    machine = trained.model.writer.machine()
    with show_compiling():
        if machine.symbols is None:
            result = forecast(trained, machine, settings, asked.inputs)
        elif machine.context:
            result = _from_contexts(trained, machine, settings, asked)
        else:
            result = _text(trained, machine, settings, live=_is_live(asked, as_json))
    if asked.output is not None:
        _write(asked.output, result)
    elif not as_json and not result.shown:
        echo(result.text, nl=False)
    if as_json:
        print_json(_document(trained, settings, result))
    return 0


def _is_live(asked: Request, as_json: bool) -> bool:
    """Say whether somebody watches text coming."""
    return asked.output is None and not as_json and sys.stdout.isatty()


def _settings(trained: Trained, given: Mapping[str, Any]) -> GenerateSettings:
    """Return the section `generate` with what the command line says instead.

    A beam asked for drops what the section says of drawing, and the other way round.
    """
    written = trained.model.spec.generate
    tree: dict[str, Any] = dict(written.tree) if written is not None else {}
    mine = {n: x for n, x in given.items() if x is not None}
    both = [n for n in DRAWING if mine.get(n)]
    if "beam" in mine and both:
        option = f"--{both[0].replace('_', '-')}"
        raise UnfoldError(f"--beam searches instead of drawing: remove {option} or --beam")
    drop = DRAWING if "beam" in mine else ("beam",) if set(mine) & set(DRAWING) else ()
    tree = {n: x for n, x in tree.items() if n not in drop} | mine

    def nowhere(path: tuple[str | int, ...]) -> Location:
        return trained.model.spec.locate("generate")

    places = (written.locate, written.locate_key) if written else (nowhere, nowhere)
    return read_generate(ChangedSection(tree, *places))


def _text(trained: Trained, machine: Machine, settings: GenerateSettings, *, live: bool) -> Result:
    """Write symbols that need no context."""
    alphabet, lines, prompt = _alphabet(trained, machine), trained.lines, settings.prompt
    wish = text_wish(settings, alphabet, trained.model, lines=lines)
    if live and wish.decoding.beam is None and wish.number == 1:
        codes = _stream(trained, wish, alphabet, prompt)
        return Result([Line(codes, _spoken(alphabet, codes, lines), {"prompt": prompt})], "", True)
    written = trained.model.writer.write(trained.params, wish, backend=trained.backend)
    found = [
        Line(codes, _spoken(alphabet, codes, lines), {"prompt": prompt}, value)
        for codes, value in _rows(written)
    ]
    told: list[str] = []
    for number, line in enumerate(found):
        if len(found) > 1 and not lines:
            told.append("\n" * bool(number) + f"{number + 1}")
        told.append(printable(_joined(alphabet, prompt, line.text)))
    return Result(found, "".join(f"{line}\n" for line in told))


def _stream(trained: Trained, wish: Wish, alphabet: Alphabet, prompt: str) -> Array:
    """Print one text piece by piece."""
    decode, codes = alphabet.decoder(), [np.zeros(0, np.int64)]
    echo(paint(prompt, bold=True), nl=False)
    pieces = trained.model.writer.stream(trained.params, wish, backend=trained.backend, chunk=CHUNK)
    try:
        for piece in pieces:
            codes.append(piece[0])
            shown = piece[0] if wish.end is None else piece[0][piece[0] != wish.end]
            echo(decode(shown), nl=False)
            sys.stdout.flush()
    finally:
        echo()
    return np.concatenate(codes)


def _from_contexts(
    trained: Trained, machine: Machine, settings: GenerateSettings, asked: Request
) -> Result:
    """Write symbols from contexts: of a file, or of the data of the run."""
    alphabet, found = _alphabet(trained, machine), list[Line]()
    if asked.inputs is not None:
        parts = iter([(read_inputs(asked.inputs, machine), dict[str, Any]())])
    else:
        parts = context_of(trained, machine, settings.number)
    each = settings.number if asked.inputs is not None else 1
    for inputs, lengths in parts:
        wish = text_wish(
            settings.model_copy(update={"number": each}),
            alphabet,
            trained.model,
            lines=trained.lines,
            inputs={n: a for n, a in inputs.items() if n in machine.context},
        )
        wish = replace(wish, lengths=lengths)
        written = trained.model.writer.write(trained.params, wish, backend=trained.backend)
        for row, (codes, value) in enumerate(_rows(written)):
            given = _described(trained, machine, inputs, row // each)
            text = alphabet.decode(codes).rstrip("\n")
            found.append(Line(codes, text, given, value))
    told = [
        "   ".join([*(f"{name} {text}" for name, text in line.given.items()), f"→ {line.text}"])
        for line in found
    ]
    return Result(found, "".join(printable(line) + "\n" for line in told))


def _described(
    trained: Trained, machine: Machine, inputs: Mapping[str, Array], row: int
) -> dict[str, str]:
    """Return a context and the right answer in words, where they have some."""
    found: dict[str, str] = {}
    for name, array in inputs.items():
        value = trained.model.program[name]
        if name not in (*machine.context, machine.loop.teacher) or value.type.kind != "category":
            continue
        symbols = np.atleast_1d(np.asarray(array)[row]).reshape(-1)
        alphabet = trained.alphabet(name) or _numbered(int(value.type.shape[0]))
        found[name] = alphabet.decode(symbols).strip("\n")
    return found or {"row": str(row + 1)}


def _alphabet(trained: Trained, machine: Machine) -> Alphabet:
    """Return the symbols of the output; numbers where the data have no names for them."""
    assert machine.symbols is not None
    return trained.alphabet(machine.loop.teacher) or _numbered(machine.symbols)


def _numbered(count: int) -> Alphabet:
    return Alphabet(tuple(map(str, range(count))), "word")


def _rows(written: Written) -> Iterator[tuple[Array, float | None]]:
    values = written.log_probability
    for row in range(len(written)):
        yield written[row], None if values is None else float(values[row])


def _spoken(alphabet: Alphabet, codes: Array, lines: bool) -> str:
    text = alphabet.decode(codes)
    return text.removesuffix("\n") if lines else text


def _joined(alphabet: Alphabet, prompt: str, text: str) -> str:
    return f"{prompt.strip()} {text}".strip() if alphabet.level == "word" else prompt + text


def _write(output: str, result: Result) -> None:
    """Write a file: the text, or a picture of numbers."""
    kind = PICTURES.get(Path(output).suffix)
    content: str | bytes = result.text
    if kind is not None:
        if result.draw is None:
            raise UnfoldError(
                f"--output {output}: only numbers can be plotted; use a name such as file.txt"
            )
        content = result.draw(kind)
    try:
        write_whole(Path(output), content)
    except OSError as error:
        raise UnfoldError(f"--output {output}: cannot be written: {explain(error)}") from None
    echo(f"wrote {output}", err=True)


def _document(trained: Trained, settings: GenerateSettings, result: Result) -> dict[str, Any]:
    """Return everything as JSON values."""
    outputs: list[dict[str, Any]] = []
    for line in result.lines:
        found: dict[str, Any] = {"length": len(line.values), "values": line.values.tolist()}
        if line.values.dtype.kind == "i":
            found = {**line.given, "text": line.text, **found}
        if line.log_probability is not None:
            found["log_probability"] = line.log_probability
        outputs.append(found)
    return {
        "ok": True,
        "name": trained.model.name,
        "run": str(trained.folder),
        "step": trained.step,
        "settings": settings.model_dump(),
        **({"columns": list(result.columns)} if result.columns else {}),
        "outputs": outputs,
    }
