"""The server's secret, and what it signs: cursors that work only for the tenant and query they were made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from marshmallow import validate

from .errors import ErrorCode, ToolError
from .settings import CommaSeparated, setting

MAC_BYTES = 18
SEED = "_GATELODGE_SEED"
"""What a parent hands to its workers, which must read what the others signed also where no secret is set. No setting."""

_own_seed = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSettings:
    """`keys` holds the current secret first, then older ones that still read what they signed or encrypted."""

    keys: tuple[str, ...] = setting(
        "GATELODGE_SECRET_KEY",
        CommaSeparated(validate=validate.Length(min=1)),
        default=(),
        help="Signs cursors, encrypts stored credentials; one for all replicas. Older ones may follow by comma.",
        secret=True,
    )

    @property
    def current(self) -> str | None:
        return self.keys[0] if self.keys else None


def derive(secret: str | None, purpose: str) -> bytes:
    """32 bytes for one purpose; without a secret they are random and live as long as the process, and its siblings."""
    seed = secret or os.environ.get(SEED)
    return hashlib.sha256(f"gatelodge {purpose}\x00".encode() + (seed.encode() if seed else _own_seed)).digest()


class Cursors:
    """Opaque positions for the next page. What was made for another tenant or another query is refused."""

    def __init__(self, secret: str | None, purpose: str) -> None:
        self._key = derive(secret, f"{purpose} cursor")

    def sign(self, tenant: UUID, query: Any, position: Any) -> str:
        """`query` is whatever must be the same when the next page is asked for; `position` is a JSON value."""
        raw = msgspec.json.encode(position)
        return base64.urlsafe_b64encode(raw + self._mac(tenant, query, raw)).decode()

    def read(self, tenant: UUID, query: Any, cursor: str) -> Any:
        """The position. Raises `validation_error` for a cursor that was not made for just this tenant and query."""
        try:
            raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        position, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(tenant, query, position)):
            sentence = "It belongs to another query, or has expired; repeat the arguments of the call that gave it."
            raise ToolError(
                ErrorCode.VALIDATION_ERROR, f"cursor: {sentence}", details={"fields": {"cursor": [sentence]}}
            )
        return msgspec.json.decode(position)

    def _mac(self, tenant: UUID, query: Any, position: bytes) -> bytes:
        message = msgspec.json.encode([tenant, query, position], order="deterministic")
        return hmac.digest(self._key, message, "sha256")[:MAC_BYTES]
