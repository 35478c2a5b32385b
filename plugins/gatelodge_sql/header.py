"""The typed header of a template: TOML in the file's first comment, as marshmallow fields.

    /*
    title = "Orders of a customer"
    description = "Lists ... what it is for, when to use it, what comes back."
    source = "warehouse"              # optional: a name of GATELODGE_SQL_SOURCES

    [params.customer]
    type = "string"                   # string integer number boolean date enum array
    description = "..."
    pattern = "C[0-9]+"               # must match the whole value; string only, as min_length and max_length
    example = "C100"

    [params.days]
    type = "integer"
    description = "..."
    min = 1                           # integer and number
    max = 365
    default = 30                      # or: optional = true, and the parameter is NULL when left out
    */

An enum has `values`; an array has `items = { type = "...", ... }`, and `min_length` and `max_length` of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

INT4 = (-(2**31), 2**31 - 1)
MAX_TEXT = 1000
MAX_ITEMS = 100
NAME = r"[a-z][a-z0-9_]*"
KEYS = {
    "string": {"pattern", "min_length", "max_length"},
    "integer": {"min", "max"},
    "number": {"min", "max"},
    "boolean": set(),
    "date": set(),
    "enum": {"values"},
    "array": {"items", "min_length", "max_length"},
}
POSTGRES = {"string": "text", "number": "double precision", "boolean": "boolean", "date": "date", "enum": "text"}


class HeaderError(ValueError):
    """A header that is wrong; `key` is the dotted TOML key, or "" where there is none."""

    def __init__(self, key: str, message: str, line: int = 0) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.line = line


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a template: its marshmallow field, and the Postgres type its placeholder is cast to."""

    name: str
    field: fields.Field[Any]
    postgres: str
    example: Any = None


@dataclass(frozen=True, slots=True)
class Header:
    title: str
    description: str
    source: str | None
    parameters: Mapping[str, Parameter]


class _ParameterSchema(Schema):
    type = fields.String(required=True, validate=validate.OneOf(KEYS))
    description = fields.String()
    optional = fields.Boolean(load_default=False)
    default = fields.Raw()
    example = fields.Raw()
    pattern = fields.String()
    min = fields.Raw(validate=lambda bound: _require(_is_number(bound), "Not a number."))
    max = fields.Raw(validate=lambda bound: _require(_is_number(bound), "Not a number."))
    min_length = fields.Integer(strict=True, validate=validate.Range(min=0))
    max_length = fields.Integer(strict=True, validate=validate.Range(min=1))
    values = fields.List(fields.String(), validate=validate.Length(min=1))
    items = fields.Nested(lambda: _ParameterSchema())


class _HeaderSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(min=1, max=100))
    description = fields.String(required=True, validate=validate.Length(min=1))
    source = fields.String()
    params = fields.Dict(
        keys=fields.String(validate=validate.Regexp(f"{NAME}$", error="Not a name of a-z, 0-9 and _.")),
        values=fields.Nested(_ParameterSchema),
        load_default=dict,
    )


def parse_header(text: str) -> Header:
    """The header out of its TOML. Raises `HeaderError`."""
    try:
        loaded = _HeaderSchema().load(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise HeaderError("", f"the header is not TOML: {error}", int(line.group(1)) if line else 0) from None
    except ValidationError as error:
        raise HeaderError(*next(_flat(error.messages_dict))) from None
    parameters = {name: _parameter(name, spec) for name, spec in loaded["params"].items()}
    return Header(loaded["title"], loaded["description"].strip(), loaded.get("source"), parameters)


def _parameter(name: str, spec: Mapping[str, Any]) -> Parameter:
    key = f"params.{name}"
    if "description" not in spec:
        raise HeaderError(key, "description is missing; a model chooses its arguments by it")
    if spec["optional"] and "default" in spec:
        raise HeaderError(key, "it has a default, so optional says nothing")
    field = _field(key, spec)
    for name_of_value in ("default", "example"):
        if name_of_value in spec:
            _check_value(f"{key}.{name_of_value}", field, spec[name_of_value])
    if "default" in spec:
        field.load_default = field.deserialize(spec["default"])
    field.required = not spec["optional"] and "default" not in spec
    field.metadata = {"description": spec["description"].strip()}
    return Parameter(name, field, _postgres_type(spec), spec.get("example"))


def _field(key: str, spec: Mapping[str, Any]) -> fields.Field[Any]:
    kind = spec["type"]
    for extra in spec.keys() - KEYS[kind] - {"type", "description", "optional", "default", "example"}:
        raise HeaderError(f"{key}.{extra}", f"a parameter of type {kind} has no {extra}")
    for needed in KEYS[kind] & {"values", "items"} - spec.keys():
        raise HeaderError(f"{key}.{needed}", f"missing; a parameter of type {kind} needs it")
    match kind:
        case "string":
            return fields.String(validate=[_length(spec, MAX_TEXT), *_patterns(key, spec)])
        case "integer":
            return fields.Integer(strict=True, validate=_range(spec))
        case "number":
            return fields.Float(allow_nan=False, validate=[_range(spec)] if spec.keys() & KEYS["number"] else [])
        case "boolean":
            return fields.Boolean(truthy={True}, falsy={False})
        case "date":
            return fields.Date(format="iso")
        case "enum":
            return fields.String(validate=validate.OneOf(spec["values"]))
    return fields.List(_field(f"{key}.items", spec["items"]), validate=_length(spec, MAX_ITEMS))


def _length(spec: Mapping[str, Any], most: int) -> validate.Length:
    return validate.Length(min=spec.get("min_length"), max=spec.get("max_length", most))


def _range(spec: Mapping[str, Any]) -> validate.Range:
    """The declared range; an integer without one is kept to what Postgres's `integer` holds."""
    low, high = INT4 if spec["type"] == "integer" else (None, None)
    return validate.Range(min=spec.get("min", low), max=spec.get("max", high))


def _patterns(key: str, spec: Mapping[str, Any]) -> Iterator[validate.Regexp]:
    if "pattern" not in spec:
        return
    try:
        yield validate.Regexp(re.compile(f"^(?:{spec['pattern']})$"))
    except re.error as error:
        raise HeaderError(f"{key}.pattern", f"not a regular expression: {error}") from None


def _check_value(key: str, field: fields.Field[Any], value: Any) -> None:
    try:
        field.deserialize(value)
    except ValidationError as error:
        raise HeaderError(key, next(_flat({"": error.messages}))[1]) from None


def _postgres_type(spec: Mapping[str, Any]) -> str:
    if spec["type"] == "array":
        return f"{_postgres_type(spec['items'])}[]"
    if spec["type"] == "integer":
        low, high = spec.get("min", INT4[0]), spec.get("max", INT4[1])
        return "integer" if low >= INT4[0] and high <= INT4[1] else "bigint"
    return POSTGRES[spec["type"]]


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValidationError(sentence)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Marshmallow's nested messages as pairs of TOML key and sentence; `value` and `key` are steps of a Dict field."""
    if not isinstance(messages, Mapping):
        yield path, " ".join(messages)
        return
    for name, inner in messages.items():
        step = path if name in ("value", "key", "_schema") and path.startswith("params.") else f"{path}.{name}"
        yield from _flat(inner, step.lstrip("."))
