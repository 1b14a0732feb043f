"""Make a damaged spec from a sound one: bytes, tokens, lines, indices, and pieces of other specs.

Everything is drawn from one `random.Random`, so a seed and a number name a case for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r"\w+|[^\w\s]|\s+")
STRANGE = [
    "\t",
    "\x00",
    "é",
    "∂",
    "{",
    "[",
    "]",
    "}",
    ":",
    "'",
    '"',
    "!",
    "&",
    "*",
    "|",
    ">",
    "%",
    "@",
]
NUMBERS = ["0", "-1", "1", "2", "7", "1000000000000", "0.5", "1e400", "nan", "9" * 400]
WORDS = ["first", "last", "batch", "learned", "zeros", "reverse", "stack", "share", "is", "shape"]
CALLS = ["tanh", "softmax", "sum[t]", "mean[batch]", "split", "concat", "where", "einsum"]
CALLS += ["feedback", "lstm", "argmax", "dropout", "max[s]", "sample", "slice", "reshape"]

Mutation = Callable[[Random, str, Sequence[str]], str]


def corpus() -> list[str]:
    """Return the texts to damage: sound specs three times in four, else wrong ones."""
    sound, wrong = (
        [
            f.read_text(encoding="utf-8", errors="replace")
            for f in sorted((ROOT / d).rglob("*.yaml"))
        ]
        for d in ("specs", "tests/bad_specs")
    )
    return sound * (1 + 3 * len(wrong) // len(sound)) + wrong


def _tokens(random: Random, text: str, change: Callable[[list[str], int], None]) -> str:
    tokens = TOKEN.findall(text)
    solid = [i for i, t in enumerate(tokens) if not t.isspace()]
    if solid:
        change(tokens, random.choice(solid))
    return "".join(tokens)


def characters(random: Random, text: str, others: Sequence[str]) -> str:
    """Drop, double, or replace a few characters."""
    letters = list(text)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(letters) + 1)
        end = at + random.choice([0, 0, 1, 1, 3])
        letters[at:end] = random.choice(["", random.choice(STRANGE), "".join(letters[at : at + 3])])
    return "".join(letters)


def swap_tokens(random: Random, text: str, others: Sequence[str]) -> str:
    """Put one word or sign of the file in the place of another."""
    tokens = [t for t in TOKEN.findall(text) if not t.isspace()]

    def change(found: list[str], at: int) -> None:
        found[at] = random.choice(tokens or ["x"])

    return _tokens(random, text, change)


def strange_tokens(random: Random, text: str, others: Sequence[str]) -> str:
    """Put a number, a word of the language or an operator somewhere."""

    def change(found: list[str], at: int) -> None:
        found[at] = random.choice([*NUMBERS, *WORDS, *STRANGE, random.choice(CALLS)])

    return _tokens(random, text, change)


def mild(random: Random, text: str, others: Sequence[str]) -> str:
    """Change a delay, a size, an operator or a sign: what often gives another sound spec."""
    kinds = (
        (r"\bt-1\b", ["t-2", "t-3", "t+1", "t", "first", "last"]),
        (r"(?<=: )\d+\b", ["1", "2", "3", "5", "11"]),
        (r"\b(tanh|sigmoid|relu)\b", ["exp", "silu", "gelu", "softmax", "abs", "norm", "sum"]),
        (r" [-+*] ", [" - ", " / ", " * ", " ** ", " @ "]),
        (r"\bzeros\b|\blearned\b", ["ones", "learned", "1", "zeros"]),
    )
    pattern, new = random.choice(kinds)
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    at = random.choice(found)
    return text[: at.start()] + random.choice(new) + text[at.end() :]


def indices(random: Random, text: str, others: Sequence[str]) -> str:
    """Change an index, or give an index to what has none."""
    found = list(re.finditer(r"\[[\w+\-*, ]*\]", text))
    new = random.choice(["[t-1]", "[t+1]", "[t]", "[s]", "[t,s]", "[last]", "[2*t]", "[t-2]", "[]",
                         "[last-t]", "[t*t]", "[l-1]", "[0]", "[99]", "[t+k-2]", ""])  # fmt: skip
    if not found:
        return text + new
    at = random.choice(found)
    return text[: at.start()] + new + text[at.end() :]


def lines(random: Random, text: str, others: Sequence[str]) -> str:
    """Drop, double, move or indent lines."""
    found = text.splitlines(keepends=True) or [""]
    at = random.randrange(len(found))
    kind = random.randrange(4)
    if kind == 0:
        del found[at]
    elif kind == 1:
        found.insert(random.randrange(len(found) + 1), found[at])
    elif kind == 2:
        found.insert(random.randrange(len(found)), found.pop(at))
    else:
        found[at] = random.choice(["  ", " ", "\t"]) + found[at]
    return "".join(found)


def wrap(random: Random, text: str, others: Sequence[str]) -> str:
    """Put a call around an operand."""
    found = list(re.finditer(r"\b\w+\[[^\]]*\]", text))
    if not found:
        return text
    at = random.choice(found)
    call = random.choice(CALLS)
    extra = random.choice(["", "", ", 2", ", shape=[2, 3]", ", hidden=4", ", " + at.group()])
    return f"{text[: at.start()]}{call}({at.group()}{extra}){text[at.end() :]}"


def splice(random: Random, text: str, others: Sequence[str]) -> str:
    """Take lines of another file."""
    other = random.choice(others).splitlines(keepends=True) or [""]
    start = random.randrange(len(other))
    taken = other[start : start + random.randint(1, 6)]
    found = text.splitlines(keepends=True)
    at = random.randrange(len(found) + 1)
    return "".join([*found[:at], *taken, *found[at + random.choice([0, 0, len(taken)]) :]])


MUTATIONS: tuple[Mutation, ...] = (
    mild, mild, mild, characters, swap_tokens, strange_tokens, indices, lines, wrap, splice,
)  # fmt: skip


def mutated(seed: int, number: int, texts: Sequence[str]) -> str:
    """Return case `number` of a seed: a text of the corpus with one to four mutations."""
    random = Random(f"{seed}:{number}")
    text = random.choice(texts)
    for _ in range(random.choice([1, 1, 2, 2, 3, 4])):
        text = random.choice(MUTATIONS)(random, text, texts)
    return text
