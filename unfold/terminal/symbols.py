"""Symbols that go on from symbols: texts of a prompt, and answers to contexts.

    unfold generate runs/char-rnn-1 --prompt "The "
    unfold generate runs/captions-1 --number 5              contexts out of its data

Text comes out piece by piece on a terminal, and is the same text everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unfold.errors import printable
from unfold.generation import Alphabet, Wish, Written
from unfold.generation.machine import Machine
from unfold.settings.generate import GenerateSettings
from unfold.terminal.screen import echo, paint
from unfold.terminal.trained import Result, Trained, WrittenSequence, context_of, read_inputs
from unfold.terminal.writing import text_wish

Array = np.ndarray
CHUNK = 16


def from_prompt(
    trained: Trained, machine: Machine, settings: GenerateSettings, *, live: bool
) -> Result:
    """Write symbols that need no context."""
    alphabet, lines, prompt = _alphabet(trained, machine), trained.lines, settings.prompt
    wish = text_wish(settings, alphabet, trained.model, lines=lines)
    if live and wish.decoding.beam is None and wish.number == 1:
        codes = _stream(trained, wish, alphabet, prompt)
        return Result(
            [WrittenSequence(codes, _spoken(alphabet, codes, lines), {"prompt": prompt})], "", True
        )
    written = trained.model.writer.write(trained.params, wish, backend=trained.backend)
    found = [
        WrittenSequence(codes, _spoken(alphabet, codes, lines), {"prompt": prompt}, value)
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


def from_contexts(
    trained: Trained, machine: Machine, settings: GenerateSettings, file: str | None
) -> Result:
    """Write symbols from contexts: of a file, or of the data of the run."""
    alphabet, found = _alphabet(trained, machine), list[WrittenSequence]()
    if file is not None:
        parts = iter([(read_inputs(file, machine), dict[str, Any]())])
    else:
        parts = context_of(trained, machine, settings.number)
    each = settings.number if file is not None else 1
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
            found.append(WrittenSequence(codes, text, given, value))
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
