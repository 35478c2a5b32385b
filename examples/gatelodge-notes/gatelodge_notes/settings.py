"""What an operator may set."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields, validate

from gatelodge import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NotesSettings:
    """Read once, at the start."""

    topic: str = setting(
        "GATELODGE_NOTES_TOPIC",
        fields.String(validate=validate.Length(min=1, max=60)),
        default="general",
        help="Topic of a note that names none.",
    )
    most: int = setting(
        "GATELODGE_NOTES_MOST",
        fields.Integer(validate=validate.Range(min=1)),
        default=10_000,
        help="Notes a tenant may keep.",
    )
