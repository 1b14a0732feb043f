"""Make a damaged spec from a sound one: bytes, tokens, lines, indices, parts of expressions, names,
options, sections, and pieces of other specs.

Everything is drawn from one `random.Random`, so a seed and a number name a case for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from unfold.errors import UnfoldError
from unfold.spec.text.expression import walk
from unfold.spec.text.parse_expression import parse_expression
from unfold.spec.text.text import Text

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
NUMBERS += ["18446744073709551616", "9" * 5000, "1e300", "1e400 GiB"]
WORDS = ["first", "last", "batch", "learned", "zeros", "reverse", "stack", "share", "is", "shape"]
CALLS = ["tanh", "softmax", "sum[t]", "mean[batch]", "split", "concat", "where", "einsum"]
CALLS += ["feedback", "lstm", "argmax", "dropout", "max[s]", "sample", "slice", "reshape"]
CALLS += [
    "one_hot",
    "logsumexp[t]",
    "flatten",
    "layer_norm",
    "norm",
    "stop_gradient",
    "gelu",
    "min",
]

Mutation = Callable[[Random, str, Sequence[str]], str]


def corpus() -> list[str]:
    """Return the texts to damage: sound specs three times in four, else wrong ones and cells.

    The four of `seeds` use every operator and construct; they come as often as all other specs.
    """
    specs, seeds, cells, wrong = (
        [
            f.read_text(encoding="utf-8", errors="replace")
            for f in sorted((ROOT / d).rglob("*.yaml"))
        ]
        for d in ("specs", "tests/fuzz/seeds", "unfold/cells", "tests/bad_specs")
    )
    sound = specs + seeds * (len(specs) // len(seeds))
    return sound * (1 + 3 * len(wrong) // len(sound)) + cells + wrong


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
        (r"\bt-1\b", ["t-2", "t-3", "t+1", "t", "first", "last", "t-100000000"]),
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
                         "[last-t]", "[t*t]", "[t-1000000000]", "[1000000000*t]", "[l-1]", "[0]",
                         "[99]", "[t+k-2]", ""])  # fmt: skip
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


def parts(text: str) -> list[tuple[int, int]]:
    """Return where the parts of the expressions of a file are, as far as they can be read."""
    found: list[tuple[int, int]] = []
    for line in re.finditer(r"^(?:  [\w\[\], .]+|loss): (?=[^{\[\n])(.+)$", text, re.MULTILINE):
        start = line.start(1)
        with suppress(UnfoldError):
            whole = parse_expression(Text.of(line.group(1)))
            found += [(start + e.at.start, start + e.at.end) for e in walk(whole)]
    return found


def graft(random: Random, text: str, others: Sequence[str]) -> str:
    """Put a part of an expression, of this file or of another, in the place of another part."""
    donor = text if random.random() < 0.7 else random.choice(others)
    here, there = parts(text), parts(donor)
    if not here or not there:
        return text
    start, end = random.choice(here)
    first, last = random.choice(there)
    return f"{text[:start]}{donor[first:last]}{text[end:]}"


def rename(random: Random, text: str, others: Sequence[str]) -> str:
    """Exchange two names everywhere, or give one the name of the other."""
    names = sorted(set(re.findall(r"\b[A-Za-z]\w*\b", text.partition("axes:")[2])))
    if len(names) < 2:
        return text
    one, two = random.sample(names, 2)
    both = random.random() < 0.5
    return re.sub(
        rf"\b(?:{one}|{two})\b", lambda m: two if m.group() == one else one if both else two, text
    )


def options(random: Random, text: str, others: Sequence[str]) -> str:
    """Write an equation in its long form, with an option."""
    found = list(re.finditer(r"^  ([\w\[\], ]+): ([^{\n]+)$", text, re.MULTILINE))
    if not found:
        return text
    at = random.choice(found)
    names = re.findall(r"\b[A-Za-z]\w*\b", text) or ["x"]
    option = random.choice(
        ["stack: 2", "stack: 3", "reverse: t", "reverse: [t, s]", "shape: [hidden]", "shape: []",
         f"share: {random.choice(names)}", f"shape: [{random.choice(names)}]"]
    )  # fmt: skip
    expression = at.group(2)
    if random.random() < 0.5:
        cell = random.choice(["rnn", "lstm", "gru", "lstm_peephole", "gru_cho"])
        expression = f"{cell}({random.choice(names)}[t], hidden={random.choice(['3', *names])})"
    long = f"  {at.group(1)}: {{is: '{expression.replace(chr(39), '')}', {option}}}"
    return text[: at.start()] + long + text[at.end() :]


def sections(random: Random, text: str, others: Sequence[str]) -> str:
    """Drop a section, move it to the end, or add one."""
    found = list(re.finditer(r"^\w+:.*\n(?:[ #\n].*\n?)*", text, re.MULTILINE))
    names = re.findall(r"\b[A-Za-z]\w*\b", text) or ["x"]
    name, value = random.choice(names), random.choice([*names, "learned", "ones", "1", "-1"])
    new = random.choice(
        [f"initial: {{{name}: {value}}}\n", f"initial: {{{name}[t]: {value}}}\n",
         f"outputs: [{name}, {value}]\n", f"stop: {{when: {name}[t] > 0, at_most: 5}}\n",
         f"stop: {{extent: {{t: sum({name}[0])}}}}\n", f"loss: mean[t](sum({name}[t]))\n",
         f"loss: mean[t](mse({name}[t], {value}[t]))\n", f"use: {{{name}: {value}.yaml}}\n"]
    )  # fmt: skip
    if not found or random.random() < 0.4:
        return text + new
    at = random.choice(found)
    rest = text[: at.start()] + text[at.end() :]
    return rest + random.choice(["", at.group(), new])


GENTLE: tuple[Mutation, ...] = (mild, mild, mild, indices, graft, graft, rename, options, sections)
ROUGH: tuple[Mutation, ...] = (
    characters, swap_tokens, strange_tokens, lines, wrap, splice, *GENTLE,
)  # fmt: skip


def mutated(seed: int, number: int, texts: Sequence[str]) -> str:
    """Return case `number` of a seed: a text of the corpus with one to four mutations.

    Half of the cases are changed gently, so that many are sound and reach the passes.
    """
    random = Random(f"{seed}:{number}")
    text = random.choice(texts)
    gentle = random.random() < 0.5
    for _ in range(random.choice([1, 1, 2] if gentle else [1, 1, 2, 2, 3, 4])):
        text = random.choice(GENTLE if gentle else ROUGH)(random, text, texts)
    return text
