"""The JSON Schema of a spec file, for editors that complete and check YAML while it is written.

Out: one JSON-compatible dictionary (draft 2020-12). `unfold.spec.file.schema` describes the
equations and what they declare; the sections of settings come from the models that read them: keys
with their types, bounds and defaults, and what the docstring of a model says of each key. Every
file that `unfold check` accepts in plain YAML satisfies it; the converse does not hold, because a
schema knows neither names nor data.

    # yaml-language-server: $schema=unfold.schema.json
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from unfold.settings.data import FAMILIES
from unfold.settings.draw import DrawSettings
from unfold.settings.generate import GenerateSettings
from unfold.settings.memory import MemorySettings
from unfold.settings.train import TrainSettings
from unfold.spec.file.schema import Schema, file_schema

OTHERS: dict[str, type[BaseModel]] = {
    "train": TrainSettings,
    "memory": MemorySettings,
    "generate": GenerateSettings,
    "draw": DrawSettings,
}


def json_schema() -> Schema:
    """Return the schema of a spec file, cells included."""
    models = {**FAMILIES, **OTHERS}
    found, shared = models_json_schema(
        [(model, "validation") for model in models.values()], schema_generator=_Generator
    )
    forms = {name: found[model, "validation"] for name, model in models.items()}
    families = [{**forms[name], "required": [name]} for name in FAMILIES]
    sections: dict[str, Schema] = {n: {"anyOf": [forms[n], {"type": "null"}]} for n in OTHERS}
    return file_schema({"data": {"anyOf": families}, **sections}, shared["$defs"])


class _Generator(GenerateJsonSchema):
    """Takes descriptions of keys from docstrings, and leaves out titles and long defaults."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        return _described(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> Schema:
        return _described(super().dataclass_schema(schema), schema["cls"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        inner = self.generate_inner(schema["schema"])
        default = schema.get("default")
        return {**inner, "default": default} if isinstance(default, int | float | str) else inner

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _described(form: Schema, kind: type) -> Schema:
    """Describe a mapping and its keys by what the class says of itself and its attributes."""
    about, told = _docstring(kind)
    for name, key in form.get("properties", {}).items():
        if name in told:
            key["description"] = told[name]
    form.pop("title", None)
    return {**form, "description": about}


def _docstring(kind: type) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a docstring, and what it and its bases say of attributes."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, attributes = cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.M):
            told[name] = " ".join(text.split())
    return " ".join(cleandoc(kind.__doc__ or "").partition("\n\n")[0].split()), told
