"""What the audit reads from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields, validate

from ..settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """`patience` is in seconds: how long a write may wait for its row, and Postgres for an answer."""

    reads: str = setting(
        "GATELODGE_AUDIT_READS",
        fields.String(validate=validate.OneOf(["require", "best_effort"])),
        default="require",
        help="Whether reads are refused while they cannot be recorded; writes always are.",
    )
    queue: int = setting(
        "GATELODGE_AUDIT_QUEUE",
        fields.Integer(validate=validate.Range(min=1, max=1_000_000)),
        default=10_000,
        help="Rows that may wait to be written.",
    )
    patience: float = setting(
        "GATELODGE_AUDIT_PATIENCE",
        fields.Float(validate=validate.Range(min=0.1, max=60)),
        default=2.0,
        help="Seconds a write waits for its row before it is refused.",
    )
