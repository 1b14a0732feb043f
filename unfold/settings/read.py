"""Check a section of a spec against its model, and put every mistake into words at its place.

In: a `Section`, nested dicts, lists and scalars with their places in the file. Out: a frozen model
with every default filled in, or one `SpecError` with a diagnostic for each independent mistake, at
the offending key or value. pydantic finds the mistakes; the words are ours.

    batch: Annotated[int, Field(ge=1)]   and   data: {batch: 0}
    spec.yaml:9:15: data.batch: expected a number of at least 1, got 0
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from unfold.errors import Diagnostic, SpecError
from unfold.settings.model import HIDDEN, Settings, keys_at, show
from unfold.spec.file.model import KeyPath, Section

S = TypeVar("S", bound=Settings)
MAX_NAMED = 12
KEY = "[key]"
MISSING = ("missing", "missing_argument")
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def read(
    kind: type[S],
    name: str,
    section: Section,
    known: Mapping[str, Iterable[str]] | None = None,
) -> S:
    """Check a section.

    Arguments:
        kind: the model of the section.
        name: of the section.
        section: what the file says.
        known: the names that the spec has, by what they are called.

    Raises:
        SpecError: with a diagnostic for every mistake.
    """
    try:
        return kind.model_validate(dict(section.tree), context=known)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        meant = {(*e["loc"][:-1], _meant(kind, e["loc"])) for e in errors if e["type"] in UNKNOWN}
        found = [e for e in errors if not (e["type"] in MISSING and e["loc"] in meant)]
        raise SpecError(*(_diagnostic(kind, name, section, e) for e in found)) from None


def _diagnostic(
    kind: type[Settings], name: str, section: Section, error: ErrorDetails
) -> Diagnostic:
    """Put one of pydantic's errors into our words, at the place it is about."""
    path, context = _path(error["loc"]), error.get("ctx", {})
    dotted = ".".join(str(p) for p in (name, *path))
    match error["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            message = f"unknown key {path[-1]!r} in {dotted.rpartition('.')[0]}"
            return Diagnostic(message, section.locate_key(path), help=_help(kind, error["loc"]))
        case "missing":
            whole = dotted.rpartition(".")[0]
            return Diagnostic(f"{whole} lacks the key {path[-1]!r}", section.locate_key(path[:-1]))
        case "value_error":
            return Diagnostic(f"{dotted}: {context['error']}", section.locate(path))
        case "unknown":
            locate = section.locate_key if error["loc"][-1] == KEY else section.locate
            help = _nearest(str(error["input"]), context["known"])
            return Diagnostic(error["msg"], locate(path), help=help)
        case "form":
            expected = context["expected"]
            hint = _hint(error["input"], context["names"])
        case other:
            expected = _EXPECTED.get(other, "").format(**context) or error["msg"]
            expected, hint = expected.replace("True", "true"), ""
    found = f"{dotted}: expected {expected}, got {show(error['input'])}{hint}"
    return Diagnostic(found, section.locate(path))


def _path(parts: KeyPath) -> KeyPath:
    """Drop what pydantic adds to a path: the tags of forms, and the mark of a key."""
    return tuple(p for p in parts if p != KEY and not str(p).startswith(HIDDEN))


def _meant(kind: type[Settings], path: KeyPath) -> str | None:
    """Return the key that a misspelt one is near."""
    return next(iter(get_close_matches(str(path[-1]), keys_at(kind, path[:-1]), n=1)), None)


def _help(kind: type[Settings], path: KeyPath) -> str | None:
    if (near := _meant(kind, path)) is not None:
        return f"did you mean {near!r}?"
    known = ", ".join(keys_at(kind, path[:-1]))
    return f"known keys: {known}" if known else None


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the nearest name, or the first of all."""
    every = list(dict.fromkeys(known))
    if close := get_close_matches(word[:60], every, n=1):
        return f"did you mean {close[0]}?"
    return f"choose from {', '.join(every[:MAX_NAMED])}{', …' if len(every) > MAX_NAMED else ''}"


def _hint(value: object, names: list[str]) -> str:
    """Return which name was probably meant."""
    word = next(iter(value), None) if isinstance(value, Mapping) else value
    close = get_close_matches(str(word), names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} character",
    "too_short": "at least {min_length} entry",
    "too_long": "at most {max_length} entry",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "invalid_key": "a word as the key",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
}
