"""One thing that operators are told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from ..redaction import redact, redact_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`type` is `what.happened`, `text` a sentence for a person, `data` the same for a program.

    `id` stays the same from try to try, so that a receiver can tell a second delivery of one message. None of it may hold
    what callers send: no arguments, no names they make up.
    """

    type: str
    text: str
    data: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"msg_{uuid4().hex}")
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    attempts: int = 0

    def body(self) -> bytes:
        """JSON as Standard Webhooks has it. Chat services that take Slack's form read `text`, and only that."""
        body = {"type": self.type, "timestamp": self.at.isoformat(), "text": redact_text(self.text)}
        return msgspec.json.encode(body | {"data": redact(msgspec.to_builtins(self.data))})
