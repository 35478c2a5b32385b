"""Parts of schemas that several tools share."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

PROJECT_KEY = r"^[A-Z][A-Z0-9_]{1,254}$"
ISSUE_KEY = r"^[A-Z][A-Z0-9_]{1,254}-[1-9][0-9]{0,9}$"
LONGEST_TEXT = 32_000


def issue_key(description: str = "Key of the issue, such as PAY-12.") -> fields.String:
    return fields.String(required=True, validate=validate.Regexp(ISSUE_KEY), metadata={"description": description})


def markdown(description: str) -> fields.String:
    return fields.String(validate=validate.Length(min=1, max=LONGEST_TEXT), metadata={"description": description})


def adf(description: str) -> fields.Dict:
    return fields.Dict(keys=fields.String(), validate=_is_document, metadata={"description": description})


def field_values(*, required: bool = False, least: int = 0) -> fields.Dict:
    description = (
        "Values by field name or id. Plain forms do: a name for a priority, component or version, an account id "
        "for a user, Markdown for rich text; Jira's own objects pass as they are."
    )
    return fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=255)),
        required=required,
        validate=validate.Length(min=least, max=50),
        metadata={"description": description},
    )


class Target(Schema):
    """Every tool may name the instance."""

    instance_id = fields.String(
        validate=validate.Length(min=1, max=64),
        metadata={"description": "Which Jira, when there are several; found by the project where that is clear."},
    )


class Write(Target):
    """Every write."""

    idempotency_key = fields.String(
        validate=validate.Length(min=1, max=200),
        metadata={"description": "Any unique text. A retry with the same key and arguments acts only once."},
    )
    dry_run = fields.Boolean(
        load_default=False,
        metadata={"description": "Only say what would be sent to Jira; nothing is changed."},
    )


class Written(Schema):
    """What every write answers."""

    instance = fields.String(required=True)
    dry_run = fields.Boolean(required=True)
    issue_key = fields.String(required=True, allow_none=True)
    url = fields.String(required=True, allow_none=True)
    would_send = fields.List(
        fields.Dict(keys=fields.String()), metadata={"description": "The requests of a dry_run, in order."}
    )


class ShapedIssue(Schema):
    key = fields.String(required=True)
    id = fields.String(required=True)
    url = fields.String(required=True)
    names = fields.Dict(keys=fields.String(), values=fields.String(), metadata={"description": "Of custom fields."})
    truncated = fields.List(fields.String(), metadata={"description": "Fields whose text was cut."})
    fields = fields.Dict(  # type: ignore[assignment]
        keys=fields.String(), required=True, metadata={"description": "By field id; empty ones are left out."}
    )


class TransitionField(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)
    required = fields.Boolean(required=True)
    allowed = fields.List(fields.Raw(), required=True)


class ShapedTransition(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    to_status = fields.String(required=True)
    to_category = fields.String(required=True, allow_none=True)
    fields = fields.List(fields.Nested(TransitionField), required=True)  # type: ignore[assignment]


def one_of(data: dict[str, Any], first: str, second: str, *, required: bool) -> None:
    """Raise `ValidationError` when both are given, or neither where one is needed."""
    if first in data and second in data:
        raise ValidationError(f"Give either {first} or {second}, not both.", second)
    if required and first not in data and second not in data:
        raise ValidationError(f"Give {first} or {second}.", first)


def _is_document(value: dict[str, Any]) -> None:
    if value.get("type") != "doc" or not isinstance(value.get("content"), list):
        raise ValidationError('It is an object like {"type": "doc", "version": 1, "content": [...]}.')
