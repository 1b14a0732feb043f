"""Read the left sides of a spec: names, and names with axes.

In: a key, or a piece of one. Out: `Name`s and `LeftSide`s with their places. A name is a Python
identifier in Unicode's composed form (as Python itself reads it), is not a reserved word, and does
not start with two underscores, so that no name of a file can have a meaning in Python.

    i[t], f[t]    is   Target("i", (Name("t"),)), Target("f", (Name("t"),))
"""

from __future__ import annotations

import keyword
import re
import unicodedata

from unfold.spec.file.model import LeftSide
from unfold.spec.text.expression import Name
from unfold.spec.text.problems import fail
from unfold.spec.text.text import Span, Text
from unfold.spec.text.tokens import MAX_LENGTH, MAX_NAME

RESERVED: dict[str, str] = {
    "first": "it is the first index of an axis",
    "last": "it is the last index of an axis",
    "batch": "it is the implicit first axis",
    "zeros": "it is an initial value",
    "ones": "it is an initial value",
    "learned": "it is an initial value",
    "inf": "it is infinity",
    "nan": "it is the undefined number, as of 0 / 0",
}
_WORD = re.compile(r"[^\s\[\](),]+")
_BRACKETS = re.compile(r"[\[(][^\])]*[\])]?")
_SPACE = re.compile(r"\s*")


def check_name(at: Span) -> str:
    """Return the name that stands at `at`, normalised.

    Raises:
        SpecError: it is not a name that a spec may define.
    """
    written = at.source
    place = at.location
    if len(written) > MAX_NAME:
        raise fail(f"this name has more than {MAX_NAME} characters", place)
    if not written:
        raise fail("a name is missing here", place)
    if keyword.iskeyword(written):
        raise fail(
            f"{written} is a reserved word", place, help=f"rename it, for example to {written}_"
        )
    if written in RESERVED:
        raise fail(f"{written} is a reserved name: {RESERVED[written]}", place, help="rename it")
    if not written.isidentifier():
        raise fail(f"{written} is not a name", place, help=_mended(written))
    if written.startswith("__"):
        advice = "rename it; names that start with two underscores belong to Python"
        raise fail(f"{written} is not a name: it starts with two underscores", place, help=advice)
    return unicodedata.normalize("NFKC", written)


def _mended(written: str) -> str:
    """Return advice to turn an invalid name into a valid one."""
    if "." in written:
        return "names with dots are parts of an instance; its cell defines them"
    mended = re.sub(r"\W+", "_", written).strip("_")
    if mended[:1].isdigit():
        mended = f"_{mended}"
    hint = "a name has letters, digits and _, and does not start with a digit"
    return f"{hint}; rename it, for example to {mended}" if mended.isidentifier() else hint


def parse_name(text: Text) -> Name:
    """Return a scalar that is one name."""
    start, end = _stripped(text.value, 0, len(text.value))
    at = text.span(start, end)
    if "[" in at.source and at.source.partition("[")[0].isidentifier():
        name = at.source.partition("[")[0]
        raise fail(f"{at.source} has brackets, but a plain name was expected", at.location,
                   help=f"write  {name}")  # fmt: skip
    return Name(check_name(at), at)


def parse_dotted(text: Text) -> tuple[str, Span, tuple[Name, ...]]:
    """Return the dotted name, its place and the axes of a key such as `l1.s[t]`."""
    name_at, axes, end = _name_and_axes(text, 0)
    _expect_end(text, end)
    parts: list[str] = []
    start = name_at.start
    for part in name_at.source.split("."):
        parts.append(check_name(text.span(start, start + len(part))))
        start += len(part) + 1
    return ".".join(parts), name_at, axes


def parse_target(text: Text) -> LeftSide:
    """Return a scalar that is one name, perhaps with axes."""
    target, end = _target(text, 0)
    _expect_end(text, end)
    return target


def parse_targets(text: Text) -> tuple[LeftSide, ...]:
    """Return the targets of a key of `nodes`: one, or several with commas and the same axes."""
    targets: list[LeftSide] = []
    at = 0
    while True:
        target, at = _target(text, at)
        targets.append(target)
        if text.value[at : at + 1] != ",":
            break
        at += 1
    _expect_end(text, at)
    for target in targets:
        if target.axis_names != targets[0].axis_names:
            raise fail(
                f"{target.at} and {targets[0].at} are defined together but differ in their axes",
                target.at.location,
                help="give them the same axes in the same order",
            )
    return tuple(targets)


def guessed_names(text: Text) -> list[str]:
    """Return the words of a key, without its axes: the names it was probably meant to define."""
    return re.findall(r"[^\W\d]\w*", _BRACKETS.sub(" ", text.value[:MAX_LENGTH]))


def _target(text: Text, start: int) -> tuple[LeftSide, int]:
    name_at, axes, end = _name_and_axes(text, start)
    name = check_name(name_at)
    last = axes[-1].at.end if axes else name_at.end
    closing = text.value.find("]", last) + 1 if axes else last
    return LeftSide(name, axes, text.span(name_at.start, closing), name_at), end


def _name_and_axes(text: Text, start: int) -> tuple[Span, tuple[Name, ...], int]:
    """Read `name` or `name[a, b]`; return its place, its axes and the place after it."""
    value = text.value
    start, _ = _stripped(value, start, len(value))
    found = _WORD.match(value, start)
    if not found:
        raise fail("a name is missing here", text.locate(start))
    name_at = text.span(start, found.end())
    at = _skip(value, found.end())
    if value[at : at + 1] == "(":
        raise fail("expected [ after a name, found (", text.locate(at),
                   help=f"write  {name_at}[…]  with the axes in brackets")  # fmt: skip
    if value[at : at + 1] != "[":
        return name_at, (), at
    closing = value.find("]", at)
    if closing < 0:
        raise fail("this [ is never closed", text.locate(at), help="close it with ]")
    return name_at, _axes(text, name_at, at + 1, closing), _skip(value, closing + 1)


def _axes(text: Text, name_at: Span, start: int, end: int) -> tuple[Name, ...]:
    axes: list[Name] = []
    for piece in text.value[start:end].split(","):
        at = text.span(*_stripped(text.value, start, start + len(piece)))
        start += len(piece) + 1
        if not at.source and not axes:
            raise fail("an axis is missing between [ and ]", text.locate(at.start),
                       help=f"write  {name_at}  if it has no axes")  # fmt: skip
        if at.source and not at.source.isidentifier():
            raise fail(
                f"{at.source} is not an axis: the left side names only axes",
                at.location,
                help="shift the index on the right side instead; "
                "put a boundary value under initial",
            )
        if at.source in ("first", "last"):
            raise fail(
                f"{at.source} is not an axis: the left side names only axes",
                at.location,
                help="put a boundary value under initial",
            )
        axis = Name(check_name(at), at)
        if axis in axes:
            raise fail(f"the axis {axis} is named twice", at.location, help="delete one of them")
        axes.append(axis)
    return tuple(axes)


def _expect_end(text: Text, at: int) -> None:
    if at < len(text.value):
        raise fail(
            f"unexpected {text.value[at]}",
            text.locate(at),
            help="the left side must be a name with its axes, as in  h[t]",
        )


def _skip(value: str, at: int) -> int:
    found = _SPACE.match(value, at)
    return found.end() if found else at


def _stripped(value: str, start: int, end: int) -> tuple[int, int]:
    """Return the piece without white space at its ends."""
    while start < end and value[start].isspace():
        start += 1
    while end > start and value[end - 1].isspace():
        end -= 1
    return start, end
