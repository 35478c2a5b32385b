"""Field values on their way to Jira: names to ids, Markdown to documents, plain names to the objects Jira wants."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .api import JiraAPI
from .failure import invalid

RICH_SYSTEM = frozenset({"description", "environment"})
RICH_CUSTOM = "com.atlassian.jira.plugin.system.customfieldtypes:textarea"
NAMED = frozenset({"priority", "issuetype", "resolution", "version", "component", "securitylevel", "group"})

FieldMeta = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Values by field id, and by field id the argument each came from, such as `fields.Story Points`."""

    values: dict[str, Any]
    arguments: dict[str, str]


async def encode_fields(api: JiraAPI, given: Mapping[str, Any]) -> Encoded:
    """The argument `fields` as Jira wants it. Raises `validation_error` for a field that Jira does not have."""
    known = await api.fields() if given else []
    encoded = Encoded({}, {})
    for name, value in given.items():
        field = resolve(known, name, f"fields.{name}")
        if field["id"] in encoded.values:
            raise invalid(f"fields.{name}", f"It is the field {field['id']}, which is given twice.")
        encoded.values[field["id"]] = encode(api, field, value)
        encoded.arguments[field["id"]] = f"fields.{name}"
    return encoded


def resolve(known: list[FieldMeta], name: str, argument: str) -> FieldMeta:
    """The field with this id, or the one with this name in any case. Raises `validation_error`."""
    for field in known:
        if field["id"] == name:
            return field
    named = [field for field in known if field["name"].casefold() == name.casefold()]
    if len(named) > 1:
        ids = ", ".join(field["id"] for field in named)
        raise invalid(argument, f"Several fields are named {name!r}; give an id: {ids}.")
    if not named:
        near = difflib.get_close_matches(
            name, [field["name"] for field in known] + [field["id"] for field in known], n=1
        )
        raise invalid(argument, "Jira has no such field" + (f"; did you mean {near[0]}?" if near else "."))
    return named[0]


def encode(api: JiraAPI, field: FieldMeta, value: Any) -> Any:
    """One value. What is already in Jira's own form passes as it is."""
    schema = field.get("schema") or {}
    if schema.get("system") in RICH_SYSTEM or schema.get("custom") == RICH_CUSTOM:
        return _document(api, value)
    if field["id"] == "parent" and isinstance(value, str):
        return {"key": value}
    if isinstance(value, list):
        return [_reference(api, schema.get("items"), item) for item in value]
    return _reference(api, schema.get("type"), value)


def _document(api: JiraAPI, value: Any) -> Any:
    if isinstance(value, str):
        return api.document(value, None)
    return api.document(None, value) if isinstance(value, dict) else value


def _reference(api: JiraAPI, kind: str | None, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if kind == "user":
        return api.user(value)
    if kind == "project":
        return {"key": value}
    if kind == "option":
        return {"value": value}
    return {"name": value} if kind in NAMED else value
