"""The JSON Schema accepts what the parser accepts and refuses the slips an editor should mark.

A validator for the part of JSON Schema that is used stands here, so that the test needs no package;
where `jsonschema` is installed, it is asked too.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from unfold.spec.file.schema import json_schema
from unfold.spec.file.sections import parse_spec
from unfold.spec.file.sections_table import SECTIONS
from unfold.spec.text.reader import ListNode, MapNode, Node, read, scalar_value
from unfold.spec.text.text import Text

ROOT = Path(__file__).parent.parent
SCHEMA = json_schema()
KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "patternProperties",
    "additionalProperties", "required", "anyOf", "oneOf", "items", "const", "enum", "pattern",
    "minimum", "minProperties", "maxLength", "dependentRequired",
}  # fmt: skip
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
    "number": (int, float), "null": type(None),
}  # fmt: skip


def is_type(value: object, name: str) -> bool:
    if isinstance(value, bool) and name in ("integer", "number"):
        return False
    return isinstance(value, TYPES[name])


def valid(value: Any, schema: Any) -> bool:
    """Tell whether a value satisfies a schema (draft 2020-12, the keywords above)."""
    if isinstance(schema, bool):
        return schema
    assert set(schema) <= KEYWORDS, set(schema) - KEYWORDS
    if "$ref" in schema and not valid(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]):
        return False
    types = schema.get("type", list(TYPES))
    checks = [
        any(is_type(value, name) for name in ([types] if isinstance(types, str) else types)),
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(valid(value, form) for form in schema["anyOf"]),
        "oneOf" not in schema or sum(valid(value, form) for form in schema["oneOf"]) == 1,
    ]
    if isinstance(value, str):
        checks.append(re.search(schema.get("pattern", ""), value) is not None)
        checks.append(len(value) <= schema.get("maxLength", len(value)))
    elif isinstance(value, dict):
        checks.append(valid_object(value, schema))
    elif isinstance(value, list):
        checks += [valid(item, schema.get("items", True)) for item in value]
    elif isinstance(value, (int, float)):
        checks.append(value >= schema.get("minimum", value))
    return all(checks)


def valid_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    checks = [
        set(schema.get("required", ())) <= set(value),
        len(value) >= schema.get("minProperties", 0),
        *(set(needs) <= set(value) for key, needs in schema.get("dependentRequired", {}).items()
          if key in value),
    ]  # fmt: skip
    for key, item in value.items():
        forms = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        patterns = schema.get("patternProperties", {})
        forms += [form for pattern, form in patterns.items() if re.search(pattern, key)]
        checks += [
            valid(item, form) for form in forms or [schema.get("additionalProperties", True)]
        ]
    return all(checks)


def tree(node: Node) -> Any:
    match node:
        case MapNode(entries=entries):
            return {key.value: tree(value) for key, value in entries}
        case ListNode(items=items):
            return [tree(item) for item in items]
        case Text():
            return scalar_value(node)


def accepted(text: str) -> bool:
    """Tell whether a spec satisfies the schema, by both validators where there are two."""
    value = tree(read(text, "s.yaml"))
    mine = valid(value, SCHEMA)
    if importlib.util.find_spec("jsonschema"):
        import jsonschema

        assert jsonschema.Draft202012Validator(SCHEMA).is_valid(value) == mine
    return mine


FILES = sorted([*ROOT.glob("specs/*/*.yaml"), *ROOT.glob("unfold/cells/*.yaml")])
HEAD = "unfold: 1\nname: m\nnodes: {h[t]: h[t-1] + 1}\n"
ACCEPTED = [
    HEAD,
    HEAD + "inputs: {x[t]: {category: n}, y[t,s]: [28, n], z: [], u: real, v[t]: {shape: [3]}}\n",
    HEAD + "parameters: {W[l]: {shape: [4*n, n], init: {normal: 0.01}, frozen: true}, b: [n]}\n",
    HEAD + "parameters: {W: {shape: [2, 2], init: {values: [[1, 0], [0, 1]]}}}\n",
    HEAD + "initial: {s[l]: 's[t-1, last]', l1.s: learned, k: 3, d: tanh(M @ C)}\n",
    HEAD + "axes: {t: 50, u: t // 2, s: }\nsizes: {n: 3, m: 2*n}\noutputs: [h]\nloss: h[0]\n",
    HEAD + "stop: {when: h[t] > 3, at_most: 2*n, extent: {u: argmax(h[last])}}\ntrain: {a: 3}\n",
    "unfold: 1\nname: m\nnodes: {'i[t], f[t]': 'split(z[t], 2)', a[t]: {is: 'f(x)', stack: 3}}\n",
    "unfold: 1\nname: m\nnodes: {\u03c3[t]: \u03b1 + 1}\n",
    "unfold: 1\ncell: c\naxes: [t]\nsizes: [n]\nnodes: {h[t]: 1}\noutput: h[t]\n",
]  # fmt: skip
REFUSED = [
    "unfold: 2\nname: m\nnodes: {h: 1}\n",
    "unfold: 1\nnodes: {h: 1}\n",
    "unfold: 1\nname: m\n",
    "unfold: 1\nname: m\nnodes: {}\n",
    "unfold: 1\nname: m\nnode: {h: 1}\n",
    "unfold: 1\ncell: c\nnodes: {h: 1}\n",
    "unfold: 1\ncell: c\noutput: h\nloss: h\nnodes: {h: 1}\n",
    HEAD + "output: h\n",
    HEAD + "parameters: {W: {init: zeros}}\n",
    HEAD + "parameters: {W: 3}\n",
    HEAD + "parameters: {W: {shape: [3], init: ortho}}\n",
    HEAD + "parameters: {W: {shape: [3], init: normal}}\n",
    HEAD + "parameters: {W: {shape: [3], init: {normal: -1}}}\n",
    HEAD + "parameters: [W]\n",
    HEAD + "inputs: {x: {category: n, shape: [3]}}\n",
    HEAD + "inputs: {x.y: [3]}\n",
    HEAD + "stop: {when: h[t]}\n",
    HEAD + "train: [a]\n",
    "unfold: 1\nname: m\nnodes: {h: {stack: 3}}\n",
    "unfold: 1\nname: m\nnodes: {h: [a, b]}\n",
    "unfold: 1\nname: m\nnodes: {h: {is: x, stak: 3}}\n",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_files_are_accepted(path: Path) -> None:
    assert accepted(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_language_has_is_accepted(text: str) -> None:
    parse_spec(text, "s.yaml")
    assert accepted(text)


@pytest.mark.parametrize("text", REFUSED)
def test_slips_are_refused(text: str) -> None:
    assert not accepted(text)


def test_every_section_and_key_is_described() -> None:
    assert set(SCHEMA["properties"]) == set(SECTIONS)
    for key, form in SCHEMA["properties"].items():
        assert form["description"] == SECTIONS[key].about
    equation = SCHEMA["$defs"]["equation"]["anyOf"][1]["properties"]
    assert all(form["description"] for form in equation.values())


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
