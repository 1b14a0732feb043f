"""The base of all settings, and the forms of values that pydantic lacks.

    Forms    one of several forms, told apart by their kind: pydoc, {file: novel.txt}
    Named    one of a table, with constants: adam, {adam: {rate: 0.01}}, {warmup: 100}
    Short    a mapping, or a number that stands for its first key: 0.1, {rate: 0.1, biases: true}
    Span     a whole number, or the two ends of a range: 5, [5, 10]
    Known    the name of something that the spec has, where the reader says what it has

Each stands in an `Annotated` type, and gives pydantic both the check and the JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_SEED = 2**63 - 1
MAX_SHOWN = 60
HIDDEN = "\0"
"""Starts the tag of a form, which is part of no path that a user would know."""
SCALARS = (int, float, str, bool)
JsonSchema = dict[str, Any]


class Settings(BaseModel):
    """The common rules: nothing unknown, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=False, defer_build=True
    )


def show(value: object) -> str:
    """Print a value as YAML would have it, cut to a readable length."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."


def is_number(value: object) -> bool:
    """Say whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Forms:
    """One of the forms of a union, or the only form: the first whose kind a value has.

    Attributes:
        expected: the words for all of them.
        union: the forms, if validators make another type of them than what is annotated.
    """

    expected: str
    union: Any = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        members = self.members(source)
        keyed = len(members) > 1
        tests = {f"{HIDDEN}{i}": _test(member, keyed) for i, member in enumerate(members)}
        choices = {
            tag: self._choice(member, handler) for tag, member in zip(tests, members, strict=True)
        }

        def which(value: object) -> str | None:
            return next((tag for tag, fits in tests.items() if fits(value)), None)

        return core_schema.tagged_union_schema(choices, which, **_error(self.expected))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        return _either(*(_form(choice, handler) for choice in _choices(schema).values()))

    def members(self, source: Any) -> tuple[Any, ...]:
        """Return the forms, where `source` is annotated."""
        union = source if self.union is None else self.union
        return get_args(union) if get_origin(union) in (Union, UnionType) else (union,)

    def _choice(self, member: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = _open(member, handler)
        base, notes = _parted(member)
        named = any(isinstance(note, Known) for note in notes)
        if not named and (base in SCALARS or get_origin(base) is Literal):
            return core_schema.custom_error_schema(schema, **_error(self.expected))
        return schema


@dataclass(frozen=True, eq=False)
class Named:
    """One of a table by its name, with constants where it has any.

    Attributes:
        table: dataclasses or models by name.
        example: how a name with constants looks.
        short: whether `{name: number}` gives the first constant.
    """

    table: Mapping[str, type]
    example: str
    short: bool = False

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {
            name: core_schema.no_info_before_validator_function(
                self._constants_of(name), _open(kind, handler)
            )
            for name, kind in self.table.items()
        }
        error = _error(self.expected, self.table)
        return core_schema.tagged_union_schema(choices, self._name, **error)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        forms = {str(n): _form(choice, handler) for n, choice in _choices(schema).items()}
        plain = [n for n, kind in self.table.items() if not any(_constants(kind).values())]
        for name, kind in self.table.items():
            numbers = [_first(kind, forms[name], handler)] if self.short else []
            nothing: list[JsonSchema] = [{"type": "null"}] if name in plain else []
            forms[name] = _either(forms[name], *numbers, *nothing)
        named = {
            "type": "object",
            "properties": forms,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        return _either({"enum": plain}, named)

    @property
    def expected(self) -> str:
        """The words for all of them."""
        return f"one of {', '.join(self.table)}, or {self.example}"

    def fits(self, value: object) -> bool:
        """Say whether a value has the form of a name, with constants or without."""
        return isinstance(value, (str, Mapping, *self.table.values()))

    def _name(self, value: object) -> str | None:
        """Return the name that a value says, or that of a rule which is one already."""
        if isinstance(value, Mapping):
            return str(next(iter(value))) if len(value) == 1 else None
        if isinstance(value, str):
            return value
        return next((n for n, kind in self.table.items() if type(value) is kind), None)

    def _constants_of(self, name: str) -> Callable[[Any], Any]:
        kind = self.table[name]

        def constants(value: Any) -> Any:
            if isinstance(value, kind):
                return value
            given = value[name] if isinstance(value, Mapping) else None
            if self.short and is_number(given):
                return {next(iter(_constants(kind))): given}
            return {} if given is None else given

        return constants


@dataclass(frozen=True)
class Short:
    """A model, or a number that stands for its first key.

    Attributes:
        expected: the words for both.
    """

    expected: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        first = next(iter(_constants(source)))

        def long(value: object) -> object:
            if is_number(value):
                return {first: value}
            if isinstance(value, Mapping | source):
                return value
            raise _mistake(self.expected)

        return core_schema.no_info_before_validator_function(long, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        model = handler(schema)
        properties = handler.resolve_ref_schema(model)["properties"]
        return _either(next(iter(properties.values())), model)


@dataclass(frozen=True)
class Interval:
    """A whole number, which becomes two equal ones, or the two ends of a range.

    Attributes:
        least, most: of both ends.
        what: the number is.
    """

    least: int
    most: int
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> JsonSchema:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return _either(number, {"type": "array", "items": number, "minItems": 2, "maxItems": 2})

    def _read(self, value: Any) -> tuple[int, int]:
        ends: list[Any] = list(value) if isinstance(value, list | tuple) else [value, value]
        whole = all(isinstance(e, int) and not isinstance(e, bool) for e in ends)
        if not (whole and len(ends) == 2 and self.least <= ends[0] <= ends[1] <= self.most):
            raise _mistake(self.what)
        return ends[0], ends[1]


@dataclass(frozen=True)
class Expected:
    """A type with its own words for whatever is wrong with a value."""

    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.custom_error_schema(handler(source), **_error(self.words))


@dataclass(frozen=True)
class Known:
    """The name of something that the spec has.

    Attributes:
        what: it is called; the names of this kind are in the context of reading.
    """

    what: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str, info: core_schema.ValidationInfo) -> str:
        known = (info.context or {self.what: [name]})[self.what]
        if name not in known:
            context = {"what": f"there is no {self.what} {name!r}", "known": known}
            raise PydanticCustomError("unknown", "{what}", context)
        return name


def keys_at(kind: Any, path: Iterable[str | int]) -> list[str]:
    """Return the keys of the mapping that a path of pydantic's leads to from a model."""
    for part in path:
        kind = _step(kind, part)
    return list(_constants(_parted(kind)[0]))


def _step(kind: Any, part: str | int) -> Any:
    """Return the type that one part of a path leads to."""
    base, notes = _parted(kind)
    if named := next((note for note in notes if isinstance(note, Named)), None):
        return named.table[str(part)]
    if str(part).startswith(HIDDEN):
        forms = next(note for note in notes if isinstance(note, Forms))
        return forms.members(base)[int(str(part)[1:])]
    if get_origin(base) in (list, dict):
        return get_args(base)[-1]
    if is_dataclass(base):
        return get_type_hints(base, include_extras=True)[str(part)]
    field = base.model_fields.get(part)
    if field is None:
        return get_args(get_annotations(base, eval_str=True)["__pydantic_extra__"])[-1]
    return Annotated[field.annotation, *field.metadata, None]


def _parted(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type that may be nothing without that, and what is annotated."""
    if get_origin(kind) is Annotated:
        base, *notes = get_args(kind)
        inner, more = _parted(base)
        return inner, (*notes, *more)
    own = [member for member in get_args(kind) if member is not NoneType]
    if get_origin(kind) in (Union, UnionType) and len(own) == 1:
        return _parted(own[0])
    return kind, ()


def _error(expected: str, names: Any = ()) -> Any:
    """Return the arguments that give a schema an error of ours."""
    return {
        "custom_error_type": "form",
        "custom_error_message": "{expected}",
        "custom_error_context": {"expected": expected, "names": list(names)},
    }


def _mistake(expected: str) -> PydanticCustomError:
    return PydanticCustomError("form", "{expected}", {"expected": expected, "names": []})


def _test(member: Any, keyed: bool) -> Callable[[object], bool]:
    """Return what tells whether a value has the form of a member of a union.

    Arguments:
        member: a type.
        keyed: whether a mapping has the form of a model only where it has the model's first key.
    """
    base, notes = _parted(member)
    if named := next((note for note in notes if isinstance(note, Named)), None):
        return named.fits
    kind = get_origin(base) or base
    if kind is Literal:
        return lambda value: isinstance(value, str) and value in get_args(base)
    if kind in (list, dict):
        kinds = (list, tuple) if kind is list else Mapping
        return lambda value: isinstance(value, kinds)
    if kind in SCALARS:
        return lambda value: type(value) is kind or (kind is float and type(value) is int)
    first = next(iter(_constants(kind)))

    def fits(value: object) -> bool:
        return isinstance(value, kind) or (
            isinstance(value, Mapping) and (first in value or not keyed)
        )

    return fits


def _open(kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a type that lets a mapping become a dataclass, and a tuple a list."""
    schema = handler.generate_schema(kind)
    found: Any = handler.resolve_ref_schema(schema)
    while found["type"] not in ("dataclass", "model") and "schema" in found:
        found = handler.resolve_ref_schema(found["schema"])
    if found["type"] in ("dataclass", "list"):
        found["strict"] = False
    return schema


def _choices(schema: Any) -> dict[Any, CoreSchema]:
    """Return the choices of a union, which validators may be wrapped around."""
    return schema["choices"] if "choices" in schema else _choices(schema["schema"])


def _form(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
    """Return the form of a part; as an item, since only parts are asked for forms of their own."""
    return handler(core_schema.list_schema(schema))["items"]


def _constants(kind: Any) -> dict[str, bool]:
    """Return the keys of a model or a dataclass, and whether each has to be given."""
    if is_dataclass(kind):
        return {f.name: f.default is MISSING for f in fields(kind)}
    return {name: field.is_required() for name, field in kind.model_fields.items()}


def _first(kind: Any, form: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
    """Return the form of the first constant; where there is none, nothing fits."""
    properties = handler.resolve_ref_schema(form).get("properties", {})
    return next(iter(properties.values()), {"not": {}})


def _either(*forms: JsonSchema) -> JsonSchema:
    return forms[0] if len(forms) == 1 else {"anyOf": list(forms)}
