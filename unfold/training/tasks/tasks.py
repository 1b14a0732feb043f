"""Built-in tasks: sequences made up by a rule, as many as are wanted.

tomita                 symbol[t]: 0 or 1; accepted: is the string in the language?;
                       prefix[t]: the same for what has been read so far
reber, embedded_reber  symbol[t], next[t]: one of B T S X P V E;
                       legal[t]: [7], 1 for every symbol that may follow
anbn, anbncn           symbol[t], next[t]: one of $ a b (c); legal[t]: [3] or [4]
adding                 pair[t]: [2], a number from 0 to 1 and a mark; sum: of the marked ones
copy                   symbol[t], target[t]: items, blanks, and in `symbol` a signal to answer
reversal               source[s]; target[t]: the source backwards and an end
tones                  frame[t]: [bands]; sound[t]: of each frame; command: what is said
spelling               letter[t]; sound[t]: of each letter
number_words           digit[s]; word[t]: the number in words, and an end
digit_lines            frame[t]: [8], a column of pixels; digit[u]: what is written
moving_digits          frame[t]: [10, 10], a digit that moves; direction: which way; digit

draw(Copy(delay=3, items=2, symbols=8), generator, 1)
symbol  5 1 _ _ ! _ _        (_ is class 8, ! class 9)
target  _ _ _ _ _ 5 1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from unfold.core.program import Program
from unfold.training.data.arrays import COPIES
from unfold.training.data.batches import DrawnSource, SetSource
from unfold.training.data.binding import Binder, Fit
from unfold.training.data.columns import Column, Examples
from unfold.training.data.dataset import Data, set_source, vocabularies
from unfold.training.data.problems import data_error, require_room
from unfold.training.data.settings import TaskData
from unfold.training.data.text import Text
from unfold.training.sections import Section
from unfold.training.tasks.digit_lines import draw_digit_lines, draw_unseen_lines
from unfold.training.tasks.grammars import (
    BOUNDARY,
    EMBEDDED_REBER,
    MAX_STRING,
    REBER,
    TOMITA,
    Automaton,
    counting_legal,
    counting_string,
    counts,
    draw_string,
)
from unfold.training.tasks.moving_digits import draw_moving_digits, draw_unseen_digits
from unfold.training.tasks.number_words import draw_number_words
from unfold.training.tasks.settings import (
    TASKS,
    Adding,
    AnBn,
    AnBnCn,
    Copy,
    Counting,
    DigitLines,
    EmbeddedReber,
    MovingDigits,
    NumberWords,
    Reber,
    Reversal,
    Spelling,
    Task,
    Tomita,
    Tones,
)
from unfold.training.tasks.spelling import draw_spelling
from unfold.training.tasks.tones import draw_tones

Array = np.ndarray
Generator = np.random.Generator
SET, VALIDATION = 4, 5


@dataclass(frozen=True)
class TaskDataset:
    """A task; fresh sequences for every batch, or a set of `count` of them."""

    settings: TaskData
    section: Section

    def fit(self, program: Program) -> Fit:
        """Return what sizes and extents the task wants of a spec.

        Raises:
            DataError: sequences that do not fit the spec, or the memory there is.
        """
        self._require_room()
        fit = self._binder(program).fit(self._set() or self._sample())
        unbounded = self.settings.count is None and isinstance(
            self.settings.task, Reber | EmbeddedReber
        )
        return Fit(fit.sizes, {}) if unbounded else fit

    def batches(
        self,
        program: Program,
        *,
        dtype: str = "float64",
        carry: bool = True,
        chunk: Mapping[str, int] | None = None,
    ) -> Data:
        """Return the batches for a Program; see `Dataset.batches`."""
        settings, examples = self.settings, self._set()
        sample = examples or self._sample()
        binding = self._binder(program).bind(sample, dtype)
        if chunk and settings.count is None:
            message = "sequences that are generated for every batch cannot be read in chunks"
            raise data_error(self.section, ("task",), message, "set their number:  count: 1000")
        if examples is None:
            train = DrawnSource(binding, self.draw, settings.batch, settings.seed)
        else:
            train = set_source(binding, examples, settings, chunk, self.section)
        validation, kept = None, int(settings.validation)
        if kept:
            others = self.draw(self._generator(VALIDATION), kept, unseen=True)
            validation = SetSource(binding, others, settings.batch, shuffled=False)
        name = next(n for n, kind in TASKS.items() if type(settings.task) is kind)
        drawn = f"{settings.count:,} sequences" if settings.count else "new sequences every batch"
        told = f"{name}, {drawn}" + (f"; {kept:,} to validate with" if kept else "")
        facts: dict[str, object] = {
            "task": {name: settings.task.model_dump(mode="json")},
            "fingerprint": f"{settings.seed} {name} {settings.task.model_dump_json()}",
            "counts": {"train": settings.count, "validation": kept},
            **vocabularies(binding, sample),
        }
        return Data(train, validation, told, facts)

    def _require_room(self) -> None:
        """Check that what is made at a time fits into memory, as two of the sequences tell."""
        settings = self.settings
        columns = self._sample().columns.values()
        each = sum(c.values.nbytes for c in columns) / 2
        for key in ("batch", "count", "validation"):
            number = int(getattr(settings, key) or 0)
            require_room(int(COPIES * each * number), f"{number:,} sequences", self.section, (key,))

    def draw(self, generator: Generator, count: int, *, unseen: bool = False) -> Examples:
        """Make a number of sequences; see `draw`."""
        return draw(self.settings.task, generator, count, unseen=unseen)

    def _set(self) -> Examples | None:
        """Make the set of sequences, where their number is given."""
        count = self.settings.count
        return None if count is None else self.draw(self._generator(SET), count)

    def _sample(self) -> Examples:
        return self.draw(np.random.default_rng(0), 2)

    def _generator(self, purpose: int) -> Generator:
        return np.random.default_rng([self.settings.seed, purpose])

    def _binder(self, program: Program) -> Binder:
        return Binder(program, self.section, self.settings.inputs, "task")


def draw(task: Task, generator: Generator, count: int, *, unseen: bool = False) -> Examples:
    """Make `count` sequences of a task.

    Args:
        task: its constants.
        generator: draws.
        count: of sequences.
        unseen: whether of material that is kept to validate with, where a task has any.
    """
    make = (UNSEEN if unseen else {}).get(type(task)) or DRAW[type(task)]
    return Examples(make(task, generator, count))


Columns = dict[str, Column]


def _symbols(alphabet: str, strings: list[str], name: str) -> Column:
    """Make a column of the classes of symbols."""
    vocabulary = Text(alphabet, np.zeros(0, dtype=np.int64))
    codes = [vocabulary.encode(s) for s in strings]
    return Column.ragged(codes, classes=len(alphabet), symbols=alphabet, where=name)


def _tomita(task: Tomita, generator: Generator, count: int) -> Columns:
    automaton = TOMITA[task.grammar]
    low, high = task.length
    kinds = [
        (length, member)
        for length in range(low, high + 1)
        for member in (False, True)
        if counts(automaton, length, member)[length][0]
    ]
    members = sorted({member for _, member in kinds})
    strings: list[str] = []
    for _ in range(count):
        answer = members[int(generator.integers(len(members)))]
        lengths = [n for n, member in kinds if member == answer]
        length = lengths[int(generator.integers(len(lengths)))]
        strings.append(draw_string(automaton, generator, length, answer))
    prefixes = [np.array(automaton.prefixes(s), dtype=np.int64) for s in strings]
    answers = np.array([p[-1] for p in prefixes])
    found = {
        "symbol": _symbols("01", strings, "symbol"),
        "prefix": Column.ragged(prefixes, classes=2, where="prefix"),
        "accepted": Column(answers, classes=2, where="accepted"),
    }
    return _longest(found, high)


def _grammar(automaton: Automaton) -> Callable[[Task, Generator, int], Columns]:
    def make(task: Task, generator: Generator, count: int) -> Columns:
        strings: list[str] = []
        while len(strings) < count:
            string = automaton.walk(generator)
            if len(string) <= MAX_STRING:
                strings.append(string)
        return _next(automaton.symbols, strings, [automaton.legal(s)[:-1] for s in strings])

    return make


def _counting(letters: str) -> Callable[[Counting, Generator, int], Columns]:
    def make(task: Counting, generator: Generator, count: int) -> Columns:
        low, high = task.n
        numbers = [int(n) for n in generator.integers(low, high + 1, count)]
        strings = [counting_string(letters, n) for n in numbers]
        legal = [counting_legal(letters, n, low) for n in numbers]
        return _longest(_next(BOUNDARY + letters, strings, legal), high * len(letters) + 1)

    return make


def _next(alphabet: str, strings: list[str], legal: list[Array]) -> Columns:
    """Make the columns of a task in which each symbol predicts the next."""
    return {
        "symbol": _symbols(alphabet, [s[:-1] for s in strings], "symbol"),
        "next": _symbols(alphabet, [s[1:] for s in strings], "next"),
        "legal": Column.ragged(legal, where="legal"),
    }


def _longest(columns: Columns, longest: int) -> Columns:
    """Say how long sequences of a task may be."""
    return {
        n: c if c.offsets is None else Column(c.values, c.offsets, c.classes, c.symbols, longest, n)
        for n, c in columns.items()
    }


def _adding(task: Adding, generator: Generator, count: int) -> Columns:
    low, high = task.length
    lengths = generator.integers(low, high + 1, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    pairs = np.zeros((offsets[-1], 2))
    pairs[:, 0] = generator.random(offsets[-1])
    half = np.maximum(1, lengths // 2)
    first = offsets[:-1] + generator.integers(0, half)
    second = offsets[:-1] + np.where(
        lengths > 1, half + generator.integers(0, np.maximum(1, lengths - half)), 0
    )
    pairs[first, 1] = pairs[second, 1] = 1
    sums = pairs[first, 0] + np.where(lengths > 1, pairs[second, 0], 0)
    return {
        "pair": Column(pairs, offsets, longest=high, where="pair"),
        "sum": Column(sums, where="sum"),
    }


def _copy(task: Copy, generator: Generator, count: int) -> Columns:
    blank, signal, items = task.symbols, task.symbols + 1, task.items
    length = task.delay + 2 * items
    symbol = np.full((count, length), blank)
    target = symbol.copy()
    remembered = generator.integers(0, task.symbols, (count, items))
    symbol[:, :items] = remembered
    symbol[:, items + task.delay - 1] = signal
    target[:, -items:] = remembered
    return {
        "symbol": Column(symbol, classes=signal + 1, where="symbol"),
        "target": Column(target, classes=blank + 1, where="target"),
    }


def _reversal(task: Reversal, generator: Generator, count: int) -> Columns:
    low, high = task.length
    lengths = generator.integers(low, high + 1, count)
    sources = [generator.integers(0, task.symbols, n) for n in lengths]
    targets = [np.append(s[::-1], task.symbols) for s in sources]
    return {
        "source": Column.ragged(sources, classes=task.symbols, longest=high, where="source"),
        "target": Column.ragged(
            targets, classes=task.symbols + 1, longest=high + 1, where="target"
        ),
    }


DRAW: Mapping[type[Task], Callable[..., Columns]] = {
    Tomita: _tomita,
    AnBn: _counting("ab"),
    AnBnCn: _counting("abc"),
    Reber: _grammar(REBER),
    EmbeddedReber: _grammar(EMBEDDED_REBER),
    Adding: _adding,
    Copy: _copy,
    Reversal: _reversal,
    Tones: draw_tones,
    Spelling: draw_spelling,
    NumberWords: draw_number_words,
    DigitLines: draw_digit_lines,
    MovingDigits: draw_moving_digits,
}
UNSEEN: Mapping[type[Task], Callable[..., Columns]] = {
    DigitLines: draw_unseen_lines,
    MovingDigits: draw_unseen_digits,
}
