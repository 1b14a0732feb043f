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

from unfold.errors import SpecError
from unfold.settings.data import read_data
from unfold.settings.draw import AXIS, BOX, PARAMETER, read_draw
from unfold.settings.generate import read_generate
from unfold.settings.memory import read_memory
from unfold.settings.schema import json_schema
from unfold.settings.train import read_train
from unfold.spec.file.model import Section
from unfold.spec.file.sections import parse_spec
from unfold.spec.file.sections_table import SECTIONS
from unfold.spec.text.reader import ListNode, MapNode, Node, read, scalar_value
from unfold.spec.text.text import Text

ROOT = Path(__file__).parent.parent
SCHEMA = json_schema()
KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "patternProperties",
    "additionalProperties", "required", "anyOf", "oneOf", "items", "const", "enum", "pattern",
    "minimum", "minProperties", "maxProperties", "minLength", "maxLength", "dependentRequired",
    "minItems", "maxItems", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default",
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
        checks.append(in_range(len(value), schema, "minLength", "maxLength"))
    elif isinstance(value, dict):
        checks.append(valid_object(value, schema))
    elif isinstance(value, list):
        checks.append(in_range(len(value), schema, "minItems", "maxItems"))
        checks += [valid(item, schema.get("items", True)) for item in value]
    elif isinstance(value, (int, float)):
        checks.append(in_range(value, schema, "minimum", "maximum"))
        checks.append(value > schema.get("exclusiveMinimum", value - 1))
        checks.append(value < schema.get("exclusiveMaximum", value + 1))
    return all(checks)


def in_range(number: float, schema: Any, least: str, most: str) -> bool:
    return schema.get(least, number) <= number <= schema.get(most, number)


def valid_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    checks = [
        set(schema.get("required", ())) <= set(value),
        in_range(len(value), schema, "minProperties", "maxProperties"),
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
    HEAD + "stop: {when: h[t] > 3, at_most: 2*n, extent: {u: argmax(h[last])}}\ntrain:\n",
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


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.S))
]
NAMES = {AXIS: ["t"], BOX: ["h"], PARAMETER: ["W"]}
READERS: dict[str, Any] = {
    "data": read_data,
    "train": read_train,
    "generate": read_generate,
    "memory": read_memory,
    "draw": lambda section: read_draw(section, NAMES),
}
TEXT = {"text": "pydoc", "input": "x", "target": "y"}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("data", TEXT),
    ("data", {**TEXT, "text": {"string": "abc"}, "batch": 3, "validation": 0.1}),
    ("data", {"series": "co2", "inputs": {"x": "co2", "z": ["co2"]}, "ahead": [1, 2]}),
    ("data", {"task": {"tomita": {"grammar": 3, "length": [2, 5]}}, "count": 10}),
    ("data", {"task": {"reber": None}}),
    ("data", {"random": True, "seed": 3}),
    ("train", {"optimizer": {"adam": {"rate": 0.1}}, "schedule": [{"warmup": 3}, "cosine"]}),
    ("train", {"optimizer": "sgd", "schedule": {"step": {"every": 3}}, "clip": {"value": 2}}),
    ("train", {"weight_decay": {"rate": 0.1, "biases": True}, "mode": {"scheduled": "linear"}}),
    ("train", {"weight_decay": 0.1, "mode": {"scheduled": 0.5}, "truncate": {"t": 3}}),
    ("train", {"clip": None, "truncate": {"t": {"every": 2, "back": 3}, "carry": True}}),
    ("generate", {"length": 3, "temperature": 0, "feed": {"x": "o"}}),
    ("memory", {"checkpoint": "auto", "budget": "2 GiB"}),
    ("memory", {"checkpoint": {"t": 3}, "budget": 1000}),
    ("draw", {"steps": {"t": 3}, "rows": ["h", ["h"]], "columns": "t", "labels": {"h": 3}}),
    ("draw", {"steps": 2, "colours": {"W": "#0072B2"}, "hide": "h", "zeros": "hidden"}),
]
SLIPS: list[tuple[str, dict[str, Any]]] = [
    ("data", {"tekst": "pydoc"}),
    ("data", {**TEXT, "batsh": 3}),
    ("data", {**TEXT, "batch": 0}),
    ("data", {**TEXT, "text": {"fil": "a"}}),
    ("data", {**TEXT, "text": "pydocs"}),
    ("data", {"seed": 3}),
    ("data", {"task": "adding", "inputs": {"x": 3}}),
    ("data", {"task": "rebr"}),
    ("data", {"task": {"copy": {"symbls": 3}}}),
    ("data", {"task": {"tomita": {"length": [0, 5]}}}),
    ("data", {"series": "co2", "inputs": {}}),
    ("train", {"optimzer": "adam"}),
    ("train", {"optimizer": "adan"}),
    ("train", {"optimizer": {"adam": {"beta3": 1}}}),
    ("train", {"optimizer": {"adam": 3}}),
    ("train", {"schedule": "warmup"}),
    ("train", {"schedule": ["cosine", {"step": {"evry": 3}}]}),
    ("train", {"clip": {"norm": -1}}),
    ("train", {"validation": {"evry": 3}}),
    ("train", {"weight_decay": {"rate": 0.1, "bias": True}}),
    ("train", {"mode": {"scheduled": 2}}),
    ("train", {"mode": {"planned": 0.5}}),
    ("train", {"truncate": {"t": {"every": 2, "bak": 3}}}),
    ("generate", {"temprature": 3}),
    ("generate", {"top_p": 2}),
    ("memory", {"budgt": 3}),
    ("memory", {"budget": "2 GB of RAM"}),
    ("memory", {"checkpoint": "always"}),
    ("draw", {"stepps": 3}),
    ("draw", {"steps": {"t": 0}}),
    ("draw", {"colours": {"W": "red"}}),
    ("draw", {"direction": "down"}),
]


def parses(text: str) -> bool:
    try:
        return parse_spec(text, "s.yaml") is not None
    except SpecError:
        return False


def section_accepted(name: str, written: Any) -> bool:
    return valid(written, SCHEMA["properties"][name])


@pytest.mark.parametrize(("name", "written"), SETTINGS, ids=str)
def test_settings_are_accepted_by_schema_and_reader(name: str, written: dict[str, Any]) -> None:
    READERS[name](Section.at(None, written))
    assert section_accepted(name, written)


@pytest.mark.parametrize(("name", "written"), SLIPS, ids=str)
def test_slips_in_settings_are_refused_by_schema_and_reader(
    name: str, written: dict[str, Any]
) -> None:
    with pytest.raises(SpecError):
        READERS[name](Section.at(None, written))
    assert not section_accepted(name, written)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_docs_are_accepted(text: str) -> None:
    """A whole spec as such, unless it is in a language that is only proposed; parts by section."""
    written = tree(read(text, "s.yaml"))
    if isinstance(written, dict) and "unfold" in written:
        assert accepted(text) == parses(text)
    elif isinstance(written, dict):
        for name in set(written) & set(READERS):
            assert section_accepted(name, written[name]), name


def test_every_key_of_every_section_is_described() -> None:
    """Constants of rules are described by the formula of the rule."""
    named = [n for n in SCHEMA["$defs"] if n.endswith(("Data", "Settings"))]
    assert len(named) == 12
    for name in named:
        for key, form in SCHEMA["$defs"][name]["properties"].items():
            assert name == "RandomData" or form["description"], (name, key)


def test_every_section_and_key_is_described() -> None:
    assert set(SCHEMA["properties"]) == set(SECTIONS)
    for key, form in SCHEMA["properties"].items():
        assert form["description"] == SECTIONS[key].about
    equation = SCHEMA["$defs"]["equation"]["anyOf"][1]["properties"]
    assert all(form["description"] for form in equation.values())


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
