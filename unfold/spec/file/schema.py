"""The JSON Schema of what a spec file declares and computes; `unfold.settings` has the rest.

It describes the sections and keys, the kinds of their values and their meaning. It treats
expressions as strings and does not check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unfold.spec.file.sections_table import (
    EQUATION_KEYS,
    INIT_KINDS,
    INIT_WITH_ARGUMENT,
    SECTIONS,
    STOP_KEYS,
    VERSION,
)
from unfold.spec.text.tokens import NUMBERS

Schema = dict[str, Any]

_WORD = r"[^\s\[\](),.:\d][^\s\[\](),.]*"
_AXES = r"(\s*\[[^\[\]]*\])?"
_NAME = rf"^\s*{_WORD}\s*$"
_TARGET = rf"^\s*{_WORD}{_AXES}\s*$"
_TARGETS = rf"^\s*{_WORD}{_AXES}(\s*,\s*{_WORD}{_AXES})*\s*$"
_DOTTED = rf"^\s*{_WORD}(\.{_WORD})*{_AXES}\s*$"


def file_schema(settings: Mapping[str, Schema], shared: Mapping[str, Schema]) -> Schema:
    """Return the schema of a spec file, cells included.

    Arguments:
        settings: the forms of the sections of settings.
        shared: what these forms refer to.
    """
    forms = {**_sections(), **settings}
    properties = {
        key: {**forms.get(key, {}), "description": section.about}
        for key, section in SECTIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "unfold spec",
        "description": "A recurrent computation, written as recurrence equations over index axes.",
        "type": "object",
        "properties": properties,
        "required": ["unfold", "nodes"],
        "additionalProperties": False,
        "oneOf": [_kind("name", in_spec=True), _kind("cell", in_spec=False)],
        "$defs": {**_definitions(), **shared},
    }


def _kind(key: str, *, in_spec: bool) -> Schema:
    """Return the sections that a model, or a cell, requires and excludes."""
    absent = [
        name
        for name, section in SECTIONS.items()
        if not (section.in_spec if in_spec else section.in_cell)
    ]
    required = [key] if in_spec else [key, "output"]
    return {"required": required, "properties": dict.fromkeys(absent, False)}


def _sections() -> dict[str, Schema]:
    """Return the form of each section's value."""
    names = {"type": "array", "items": {"type": "string", "pattern": _NAME}}
    sizes = _entries(_NAME, _either(_ref("size"), {"type": "null"}))
    return {
        "unfold": {"const": VERSION},
        "name": {"type": ["string", "number"], "maxLength": 100},
        "cell": {"type": "string", "pattern": _NAME},
        "about": {"type": ["string", "number", "boolean"]},
        "axes": _either(sizes, names),
        "sizes": _either(sizes, names),
        "inputs": _entries(_TARGET, _ref("input")),
        "parameters": _entries(_TARGET, _ref("parameter")),
        "use": _entries(_NAME, {"type": "string"}),
        "nodes": {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {_TARGETS: _ref("equation")},
            "additionalProperties": False,
        },
        "initial": _entries(_DOTTED, _ref("initial")),
        "loss": _ref("expression"),
        "outputs": _either({"type": "string"}, {"type": "array", "items": {"type": "string"}}),
        "output": _ref("expression"),
        "stop": _stop(),
    }


def _stop() -> Schema:
    return {
        "type": ["object", "null"],
        "properties": _described(
            STOP_KEYS,
            {
                "when": _ref("expression"),
                "at_most": _ref("size"),
                "extent": _entries(_NAME, _ref("expression")),
            },
        ),
        "additionalProperties": False,
        "dependentRequired": {"when": ["at_most"]},
    }


def _definitions() -> dict[str, Schema]:
    """Return the forms that several sections share."""
    number = _either(
        {"type": "number"}, {"enum": [sign + word for word in NUMBERS for sign in ("", "-", "+")]}
    )
    numbers = _either(_ref("number"), {"type": "array", "items": _ref("numbers")})
    return {
        "expression": {
            "type": ["string", "number", "boolean"],
            "description": "An expression: numbers, names, + - * / ** @, comparisons, calls.",
        },
        "size": {
            "type": ["integer", "string"],
            "description": "A whole number, or names of sizes with + - * //.",
        },
        "shape": _either(
            {"type": "array", "items": _ref("size")},
            {"const": "real", "description": "One real number."},
        ),
        "number": number,
        "numbers": numbers,
        "input": _either(
            _ref("shape"),
            _object({"category": _ref("size")}, ["category"]),
            _object({"shape": _ref("shape")}, ["shape"]),
        ),
        "parameter": _either(
            _ref("shape"),
            _object(
                {"shape": _ref("shape"), "init": _ref("init"), "frozen": {"type": "boolean"}},
                ["shape"],
            ),
        ),
        "init": _init(),
        "equation": _either(_ref("expression"), _long_equation()),
        "initial": _either(
            *_outside(), {"type": "object", "additionalProperties": _either(*_outside())}
        ),
    }


def _outside() -> tuple[Schema, Schema]:
    """Return the forms of one initial value."""
    words = {
        "enum": ["zeros", "ones", "learned"],
        "description": "The value outside the domain; training adjusts a learned one.",
    }
    return _ref("expression"), words


def _init() -> Schema:
    """Return the form of a parameter's `init`."""
    words = [
        {"const": kind, "description": about}
        for kind, about in INIT_KINDS.items()
        if kind not in INIT_WITH_ARGUMENT
    ]
    arguments: dict[str, Schema] = {
        "values": _ref("numbers"),
        "file": {"type": "string"},
        "constant": _ref("number"),
    }
    positive: Schema = {"type": "number", "minimum": 0}
    with_argument = [
        _object({kind: {**arguments.get(kind, positive), "description": INIT_KINDS[kind]}}, [kind])
        for kind in INIT_WITH_ARGUMENT
    ]
    return _either(*words, *with_argument)


def _long_equation() -> Schema:
    axes = _either({"type": "string"}, {"type": "array", "items": {"type": "string"}})
    forms: dict[str, Schema] = {
        "is": _ref("expression"),
        "stack": _ref("size"),
        "reverse": axes,
        "share": {"type": "string", "pattern": _NAME},
        "shape": _ref("shape"),
    }
    return _object(_described(EQUATION_KEYS, forms), ["is"])


def _described(about: dict[str, str], forms: dict[str, Schema]) -> dict[str, Schema]:
    return {key: {**forms[key], "description": text} for key, text in about.items()}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _either(*forms: Schema) -> Schema:
    return {"anyOf": list(forms)}


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _entries(pattern: str, value: Schema) -> Schema:
    """Return the form of a section whose keys follow a pattern; it may be left empty."""
    return {
        "type": ["object", "null"],
        "patternProperties": {pattern: value},
        "additionalProperties": False,
    }
