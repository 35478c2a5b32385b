"""JSON Schema 2020-12 out of marshmallow, and the two checks built from it at start-up: arguments in, results out.

apispec's converter does most of it; `_mend` corrects what it gets wrong. Arguments are accepted only when the JSON Schema
and marshmallow both accept them, so a client that validates by the schema is never surprised.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from itertools import islice
from typing import Any

import jsonschema_rs
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, ValidationError, fields, validate

from .errors import ErrorCode, ToolError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_WRONG = 20
"""Wrong fields that a refusal tells of."""
LARGE = 1000
"""Members, at any depth, from which on arguments are not looked through for every fault."""
LONGEST_NAME = 100
LONGEST_SENTENCE = 300
UNWANTED = ("readOnly", "writeOnly", "nullable")

JSONObject = dict[str, Any]


def json_schema(schema: type[Schema] | Mapping[str, Any]) -> JSONObject:
    """The JSON Schema of a marshmallow schema class, or a JSON Schema written elsewhere, checked.

    Raises `ValueError` for a mapping that is no valid 2020-12 schema.
    """
    if isinstance(schema, Mapping):
        jsonschema_rs.Draft202012Validator(dict(schema))
        return dict(schema)
    return _Converter().convert(schema)


def loader(schema: type[Schema] | Mapping[str, Any]) -> Callable[[Mapping[str, Any]], JSONObject]:
    """A function that checks arguments and answers them typed. Raises `ToolError` with the wrong fields in `details`."""
    derived = json_schema(schema)
    validator = jsonschema_rs.Draft202012Validator(derived)
    known = list(derived.get("properties", {}))
    instance = None if isinstance(schema, Mapping) else schema()

    def load(arguments: Mapping[str, Any]) -> JSONObject:
        _refuse(_first(_unstorable(arguments, "")))
        if not validator.is_valid(arguments):
            _refuse(_wrong_fields(validator, arguments, known))
        if instance is None:
            return dict(arguments)
        try:
            loaded: JSONObject = instance.load(arguments)
        except ValidationError as error:
            _refuse(_first(_flat(error.messages_dict, "")))
            raise AssertionError("unreachable") from error
        return loaded

    return load


def checker(schema: JSONObject) -> Callable[[Any], None]:
    """A function that raises `ValueError` with path and reason for a JSON value that does not satisfy the schema."""
    validator = jsonschema_rs.Draft202012Validator(schema)

    def check(value: Any) -> None:
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"{_path(error.instance_path) or 'result'}: {_end(error.message)}") from None

    return check


def _inline(schema: type[Schema]) -> str:
    """No name: apispec then puts the schema where it is used."""
    return None  # type: ignore[return-value]  # what apispec documents, though not in its types


class _Converter:
    """One conversion: nested schemas are inlined, recursive ones become `$defs`."""

    def __init__(self) -> None:
        self._plugin = MarshmallowPlugin(schema_name_resolver=_inline)
        APISpec(title="", version="", openapi_version="3.1.0", plugins=[self._plugin])
        self._open: list[type[Schema]] = []
        self._definitions: dict[str, JSONObject] = {}

    def convert(self, schema: type[Schema]) -> JSONObject:
        root = self._object(schema)
        if self._definitions:
            root["$defs"] = self._definitions
        return root

    def _object(self, schema: type[Schema]) -> JSONObject:
        self._open.append(schema)
        instance = schema()
        properties = {(f.data_key or name): self._field(f) for name, f in instance.fields.items() if not f.dump_only}
        required = [f.data_key or name for name, f in instance.fields.items() if f.required]
        self._open.pop()
        derived: JSONObject = {"type": "object", "properties": properties}
        if required:
            derived["required"] = required
        if instance.unknown == "raise":
            derived["additionalProperties"] = False
        return derived

    def _field(self, item: fields.Field[Any]) -> JSONObject:
        if isinstance(item, fields.Nested):
            derived = self._nested(item)
        elif isinstance(item, fields.Tuple):
            members = [self._field(member) for member in item.tuple_fields]
            derived = {"type": "array", "prefixItems": members, "minItems": len(members), "maxItems": len(members)}
        elif isinstance(item, fields.List):
            derived = {**self._simple(_without_members(item)), "type": "array", "items": self._field(item.inner)}
        elif isinstance(item, fields.Dict):
            values = self._field(item.value_field) if item.value_field else True
            derived = {**self._simple(item), "type": "object", "additionalProperties": values}
        else:
            derived = self._simple(item)
        return _described(_nullable(derived, item), item)

    def _nested(self, item: fields.Nested) -> JSONObject:
        schema = type(item.schema)
        many = item.many or item.schema.many
        if schema in self._open:
            self._definitions.setdefault(schema.__name__, {})
            reference: JSONObject = {"$ref": f"#/$defs/{schema.__name__}"}
            if not self._definitions[schema.__name__]:
                self._definitions[schema.__name__] = {"type": "object"}
                outer, self._open = self._open, []
                self._definitions[schema.__name__] = self._object(schema)
                self._open = outer
            inner = reference
        else:
            inner = self._object(schema)
        return {"type": "array", "items": inner} if many else inner

    def _simple(self, item: fields.Field[Any]) -> JSONObject:
        assert self._plugin.converter is not None
        derived: JSONObject = dict(self._plugin.converter.field2property(item))
        for key in (*UNWANTED, "description", "title", "examples", "items", "additionalProperties", "default"):
            derived.pop(key, None)
        return _mend(derived, item)


def _without_members(item: fields.List[Any]) -> fields.List[Any]:
    """The list alone: apispec would follow its members by itself, and a recursive schema without end."""
    alone = copy(item)
    alone.inner = fields.Raw()
    return alone


def _mend(derived: JSONObject, item: fields.Field[Any]) -> JSONObject:
    """What apispec gets wrong for 2020-12: exclusive ranges, ContainsOnly, enums that allow null, `x-minimum`."""
    types = derived.get("type")
    if isinstance(types, list):
        types = [kind for kind in types if kind != "null"]
        derived["type"] = types[0] if len(types) == 1 else types
    if isinstance(derived.get("enum"), list):
        derived["enum"] = [choice for choice in derived["enum"] if choice is not None]
    for rule in item.validators:
        if isinstance(rule, validate.Range):
            for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "x-minimum", "x-maximum"):
                derived.pop(key, None)
    for rule in item.validators:
        if isinstance(rule, validate.Range):
            derived |= _range(rule)
        if isinstance(rule, validate.ContainsOnly):
            derived.pop("enum", None)
            derived["items"] = {"enum": list(rule.choices)}
        if isinstance(rule, validate.Regexp):
            derived["pattern"] = rule.regex.pattern
    return derived


def _range(rule: validate.Range) -> JSONObject:
    low = "minimum" if rule.min_inclusive else "exclusiveMinimum"
    high = "maximum" if rule.max_inclusive else "exclusiveMaximum"
    return {key: bound for key, bound in ((low, rule.min), (high, rule.max)) if bound is not None}


def _nullable(derived: JSONObject, item: fields.Field[Any]) -> JSONObject:
    if not item.allow_none or isinstance(item, fields.Raw):
        return derived
    if isinstance(derived.get("type"), str) and "$ref" not in derived:
        nullable = {**derived, "type": [derived["type"], "null"]}
        if "enum" in derived:
            nullable["enum"] = [*derived["enum"], None]
        return nullable
    return {"anyOf": [derived, {"type": "null"}]} if derived else derived


def _described(derived: JSONObject, item: fields.Field[Any]) -> JSONObject:
    shown = {key: value for key, value in item.metadata.items() if key in ("title", "description", "examples")}
    shown |= {key: value for key, value in item.metadata.items() if key.startswith("x-")}
    default = item.load_default
    if isinstance(default, str | int | float | bool | list):
        shown["default"] = default
    return {**derived, **shown}


def _wrong_fields(validator: Any, arguments: Mapping[str, Any], known: list[str]) -> dict[str, list[str]]:
    """The first of them: whoever sends a hundred thousand wrong fields does not need to hear of each."""
    return _first(_wrong(validator, arguments, known))


def _wrong(validator: Any, arguments: Mapping[str, Any], known: list[str]) -> Iterator[tuple[str, str]]:
    for error in _errors(validator, arguments):
        path, kind = _path(error.instance_path), error.kind
        extra = getattr(kind, "unexpected", None) if type(kind).__name__.endswith("AdditionalProperties") else None
        missing = getattr(kind, "property", None) if type(kind).__name__.endswith("Required") else None
        if extra:
            yield from ((_join(path, name), _unknown(name, known if not path else [])) for name in extra)
        elif missing is not None:
            yield _join(path, missing), "Missing; this argument is required."
        else:
            yield path or "arguments", _end(f"{error.message}.")


def _errors(validator: Any, arguments: Mapping[str, Any]) -> Iterable[Any]:
    """All of them, but for large arguments the first alone: the validator looks for all before it gives one."""
    if sum(1 for _ in islice(_members(arguments), LARGE)) < LARGE:
        yield from validator.iter_errors(arguments)
        return
    try:
        validator.validate(arguments)
    except jsonschema_rs.ValidationError as error:
        yield error


def _members(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inner:
        yield item
        yield from _members(item)


def _first(wrong: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, sentence in islice(wrong, MOST_WRONG):
        found.setdefault(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…", []).append(sentence)
    return found


def _end(sentence: str) -> str:
    """A sentence quotes the value first, which may be long, and ends with what is wrong with it."""
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"…{sentence[-LONGEST_SENTENCE:]}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1) if len(name) <= LONGEST_NAME else []
    if near:
        return f"Unknown argument; did you mean {near[0]}?"
    return f"Unknown argument; known are {', '.join(known)}." if known else "Unknown argument."


def _refuse(wrong: dict[str, list[str]]) -> None:
    if wrong:
        name, sentences = next(iter(wrong.items()))
        raise ToolError(ErrorCode.VALIDATION_ERROR, f"{name}: {sentences[0]}", details={"fields": wrong})


def _unstorable(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Strings that neither Postgres nor Jira can hold: with U+0000, or with half a surrogate pair."""
    if isinstance(value, str):
        if "\x00" in value:
            yield path or "arguments", "May not contain the NUL character."
        elif not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            yield path or "arguments", "May not contain a lone surrogate."
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unstorable(key, _join(path, "key"))
            yield from _unstorable(item, _join(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, _join(path, index))


def _flat(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _flat(inner, path if key == "_schema" else _join(path, key))
    else:
        yield from ((path or "arguments", str(message)) for message in messages)


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _path(parts: Any) -> str:
    return ".".join(str(part) for part in parts)
