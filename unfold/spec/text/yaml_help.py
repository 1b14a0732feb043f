"""Explain errors of the YAML parser in a user's words.

In: a `YAMLError`, whose text speaks of tokens and simple keys. Out: a `Diagnostic` at the right
place with the usual fix. There is one row per kind of error; the words of the parser select a row.

    expected ',' or '}', but got '['   →   a comma or } was expected here
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from unfold.errors import Diagnostic, Location
from unfold.spec.text.scalars import STAND_IN
from unfold.spec.text.text import SourceText


@dataclass(frozen=True)
class _Row:
    """The explanation of a kind of error; `at_start`: its place is the broken piece's start."""

    message: str
    help: str
    at_start: bool = False


_INDENTATION = (
    "entries of one section start in the same column; continued lines are indented deeper"
)
_FLOW = (
    "separate entries with commas, and put names with brackets into quotes or use an indented block"
)
_ESCAPE_HELP = 'in "…" write \\\\ for a backslash, or use single quotes'
_TAG = _Row("a value cannot start with ! (in YAML this is a tag)", "put the text into quotes")
_DIRECTIVE = _Row("a line cannot start with % (in YAML this is a directive)", "delete it")
_ROWS: dict[str, _Row] = {
    "mapping values are not allowed": _Row(
        "unexpected colon: this line already has one, or continues the text above",
        "put a space after every colon, indent continued lines deeper than their key, "
        "and quote a text that contains ': '",
    ),
    "could not find expected ':'": _Row(
        "this line is neither  key: value  nor the indented continuation of the line above",
        "put ': ' after the key, or indent the line deeper than the key it continues",
        at_start=True,
    ),
    "expected ',' or '}'": _Row("a comma or } was expected here", _FLOW),
    "expected ',' or ']'": _Row("a comma or ] was expected here", _FLOW),
    "expected <block end>": _Row("this line does not fit the indentation above it", _INDENTATION),
    "sequence entries are not allowed": _Row("a list cannot start here", _INDENTATION),
    "block sequence entries": _Row("a list cannot start here", _INDENTATION),
    "found unexpected end of stream": _Row(
        "this quote is never closed", "close it, or delete it", at_start=True
    ),
    "found unexpected document separator": _Row(
        "this quote is not closed before the document ends", "close it", at_start=True
    ),
    "found unknown escape character": _Row("this escape is unknown", _ESCAPE_HELP),
    "escape sequence of": _Row("this escape is incomplete", _ESCAPE_HELP),
    "while scanning an alias": _Row(
        "a value cannot start with * (in YAML this is an alias)", "put the text into quotes"
    ),
    "while scanning an anchor": _Row(
        "a value cannot start with & (in YAML this is an anchor)", "put the text into quotes"
    ),
    " a tag": _TAG,
    "undefined tag handle": _TAG,
    "directive": _DIRECTIVE,
    "expected '<document start>'": _Row(
        "text follows the end of the document", "the whole file is one mapping of sections"
    ),
    "chomping or indentation": _Row(
        "the text after | or > starts on the next line", "break the line after | or >"
    ),
    "expected a comment or a line break": _Row(
        "the text after | or > starts on the next line", "break the line after | or >"
    ),
    "did not find expected node content": _Row("a value was expected here", _FLOW),
    "expected the node content": _Row("a value was expected here", _FLOW),
}


def explain_yaml_error(error: yaml.YAMLError, source: SourceText) -> Diagnostic:
    """Return the diagnostic of a YAML error."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic("this is not YAML text", source.locate(0))
    said = f"{error.context or ''}: {error.problem or ''}"
    mark = error.problem_mark or error.context_mark
    problem = mark.index if mark else 0
    start = error.context_mark.index if error.context_mark else problem
    if "cannot start any token" in said:
        return _after_quote(source.locate(problem)) or _bad_start(source, problem)
    if "expected ',' or" in said and _is_far(source, start, problem):
        return _never_closed(source, start)
    for pattern, row in _ROWS.items():
        if pattern in said:
            at = start if row.at_start else problem
            likely = _likely_cause(source, at)
            return likely or Diagnostic(row.message, source.locate(at), help=row.help)
    reason = (error.problem or "").replace(STAND_IN, "[").replace("\0", "the end")
    return Diagnostic(f"this is not YAML: {reason}", source.locate(problem))


def _bad_start(source: SourceText, at: int) -> Diagnostic:
    character = source.text[at : at + 1]
    if character == "\t":
        return Diagnostic(
            "this line contains a tab, but YAML is indented with spaces",
            source.locate(at),
            help="replace the tab with spaces",
        )
    return Diagnostic(
        f"a key or value cannot start with {character}",
        source.locate(at),
        help="put the text into quotes",
    )


def _is_far(source: SourceText, start: int, problem: int) -> bool:
    """Tell whether the parser noticed an open bracket on a later line, or at the end."""
    return not source.text[problem:].strip() or source.line_of(start) != source.line_of(problem)


def _never_closed(source: SourceText, start: int) -> Diagnostic:
    bracket = source.text[start : start + 1]
    closing = {"{": "}", "[": "]"}.get(bracket, "")
    return Diagnostic(
        f"this {bracket} is not closed, or a comma is missing between its entries",
        source.locate(start),
        help=f"close it with {closing}, and separate its entries with commas",
    )


def _after_quote(location: Location) -> Diagnostic | None:
    before = location.source[: location.column - 1].rstrip()
    if not before.endswith(("'", '"')):
        return None
    return Diagnostic(
        "text follows a closing quote", location, help="put the whole value into quotes"
    )


def _likely_cause(source: SourceText, at: int) -> Diagnostic | None:
    """Return a more exact diagnostic if the lines around the place show the cause."""
    location = source.locate(at)
    if location.source.startswith("%"):
        return Diagnostic(
            _DIRECTIVE.message,
            source.locate(source.start_of(location.line)),
            help=_DIRECTIVE.help,
        )
    if after_quote := _after_quote(location):
        return after_quote
    for number in (location.line, location.line - 1):
        text = source.line(number)
        glued = re.match(r"\s*[\w\[\], .]+?(:)(?=[^\s:])", text)
        if glued and ": " not in text:
            return Diagnostic(
                "a space is missing after this colon",
                source.locate(source.start_of(number) + glued.start(1)),
                help=f"write  {text[: glued.end(1)].strip()} {text[glued.end(1) :].strip()[:40]}",
            )
    return None
