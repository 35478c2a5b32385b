"""API keys: `glk_<id>_<secret>`, of which only the id and a hash are kept.

The secret has 256 random bits, so one SHA-256 is enough: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

PREFIX = "glk_"
SHAPE = re.compile(r"glk_(?P<id>[0-9a-f]{16})_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A row of `api_keys`. An allow-list of None allows all; times are aware, `expires_at` of None is never."""

    id: str
    tenant: UUID
    user: str
    scopes: frozenset[str]
    tools: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_from: str | None = None
    hash: bytes = field(default=b"", repr=False)

    def opens_with(self, secret: str) -> bool:
        """Whether this is the key shown, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(self.hash, fingerprint(secret))

    def lives(self, now: float) -> bool:
        """Neither revoked nor expired at `now`, in Unix seconds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at.timestamp())


def new_key() -> tuple[str, str]:
    """The id and the whole key, which is shown once and never stored."""
    key_id = secrets.token_hex(8)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_hex(32)}"


def key_id(shown: str) -> str | None:
    """The id in what a caller shows, or None where it cannot be a key."""
    found = SHAPE.fullmatch(shown)
    return found["id"] if found else None


def fingerprint(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()
