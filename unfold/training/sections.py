"""What is common to the sections `data`, `train` and `generate`: checking, and words for mistakes.

A `Section` is what the front end hands over: nested dicts, lists and scalars, and where each of
them is in the file. `validate` makes it a frozen model with every default filled in, or raises one
`SpecError` with a diagnostic for each independent mistake, at the offending key or value. pydantic
finds the mistakes; the words are ours.

    batch: Annotated[int, Field(ge=1)]   and   data: {batch: 0}
    spec.yaml:9:15: data.batch: expected a number of at least 1, got 0
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from unfold.errors import Diagnostic, Location, SpecError

KeyPath = tuple[str | int, ...]
MAX_SEED = 2**63 - 1
MAX_SHOWN = 60


class Section(Protocol):
    """One section of a spec file, as the front end gives it."""

    @property
    def tree(self) -> Mapping[str, Any]:
        """The values."""
        ...

    @property
    def locate(self) -> Callable[[KeyPath], Location | None]:
        """From a path of keys and positions to the place of that value, or of its known part;
        None where the section is in no file."""
        ...

    @property
    def locate_key(self) -> Callable[[KeyPath], Location | None]:
        """The same for the key rather than its value."""
        ...


class Settings(BaseModel):
    """The common rules: nothing unknown, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=False, defer_build=True
    )


S = TypeVar("S", bound=Settings)


def only_key(*known: str) -> Callable[[object], str | None]:
    """Return the function that says which alternative a mapping is; None makes the error."""

    def which(value: object) -> str | None:
        if isinstance(value, Mapping):
            return next((k for k in value if k in known), None)
        return None

    return which


def validate(
    kind: type[S],
    name: str,
    section: Section,
    *,
    alternatives: Mapping[str, str],
    tagged: Mapping[str, str] | None = None,
) -> S:
    """Check a section.

    Arguments:
        kind: the model of the section.
        name: of the section.
        section: what the file says.
        alternatives: for every key whose value has several forms, the words for them.
        tagged: the same for keys whose value is a mapping with the name of the form as its key.

    Raises:
        SpecError: with a diagnostic for every mistake.
    """
    try:
        return kind.model_validate(dict(section.tree))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        misspelt = {
            match
            for e in errors
            if e["type"] == "extra_forbidden"
            for match in get_close_matches(str(e["loc"][-1]), kind.model_fields, n=1)
        }
        found = [
            _diagnostic(kind, name, section, e, alternatives, tagged or {})
            for e in errors
            if not (e["type"] == "missing" and e["loc"][-1] in misspelt)
        ]
        raise SpecError(*found) from None


def _diagnostic(
    kind: type[Settings],
    name: str,
    section: Section,
    error: ErrorDetails,
    alternatives: Mapping[str, str],
    tagged: Mapping[str, str],
) -> Diagnostic:
    """Put one of pydantic's errors into our words, at the place it is about."""
    path = _path(error["loc"], alternatives)
    context = error.get("ctx", {})
    dotted = ".".join(str(p) for p in (name, *path))
    match error["type"]:
        case "extra_forbidden":
            known = list(kind.model_fields) if len(path) == 1 else []
            return Diagnostic(
                f"unknown key {path[-1]!r} in {dotted.rpartition('.')[0]}",
                section.locate_key(path),
                help=_suggest(str(path[-1]), known),
            )
        case "missing":
            whole = dotted.rpartition(".")[0]
            return Diagnostic(f"{whole} lacks the key {path[-1]!r}", section.locate_key(path[:-1]))
        case "union_tag_not_found" | "union_tag_invalid":
            expected = {**alternatives, **tagged}[str(path[-1])]
        case "constant":
            path += tuple(context["path"])
            locate = section.locate_key if context["key"] else section.locate
            return Diagnostic(f"{dotted}: {context['message']}", locate(path))
        case "value_error":
            return Diagnostic(f"{dotted}: {context['error']}", section.locate(path))
        case other:
            expected = _EXPECTED.get(other, "").format(**context) or error["msg"]
            expected = expected.replace("True", "true")
    return Diagnostic(
        f"{dotted}: expected {expected}, got {show(error['input'])}", section.locate(path)
    )


def _path(parts: KeyPath, alternatives: Mapping[str, str]) -> KeyPath:
    """Drop the tags of alternatives, which pydantic puts after the key that has them."""
    return tuple(p for i, p in enumerate(parts) if i == 0 or parts[i - 1] not in alternatives)


def show(value: object) -> str:
    """Print a value as YAML would have it, cut to a readable length."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."


def _suggest(word: str, known: list[str]) -> str | None:
    close = get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known keys: {', '.join(known)}" if known else None


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} character",
    "too_short": "at least {min_length} entry",
    "too_long": "at most {max_length} entry",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "invalid_key": "a word as the key",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
