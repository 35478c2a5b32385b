"""Cursors: where the next page begins, signed so that one works only for the tenant and query it was made for.

A page is cut out by its offset in the template's order and read from the data as they are then: rows that appear or
vanish between two pages shift the rest, as they would for a person turning pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from gatelodge import ToolError

OFFSET_BYTES = 6
MAC_BYTES = 18


class Cursors:
    """Signs with a key derived from the server's secret, or with one that lives as long as the process."""

    def __init__(self, secret: str | None) -> None:
        seed = secret.encode() if secret else secrets.token_bytes(32)
        self._key = hashlib.sha256(b"gatelodge sql cursor\x00" + seed).digest()

    def sign(self, tenant: UUID, digest: str, arguments: Mapping[str, Any], offset: int) -> str:
        raw = offset.to_bytes(OFFSET_BYTES, "big")
        return base64.urlsafe_b64encode(raw + self._mac(tenant, digest, arguments, raw)).decode()

    def read(self, tenant: UUID, digest: str, arguments: Mapping[str, Any], cursor: str) -> int:
        """The offset. Raises `validation_error` for a cursor that was not made for just this tenant and query."""
        try:
            raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        offset, mac = raw[:OFFSET_BYTES], raw[OFFSET_BYTES:]
        if not hmac.compare_digest(mac, self._mac(tenant, digest, arguments, offset)):
            sentence = "It belongs to another query, or has expired; repeat the arguments of the call that gave it."
            raise ToolError("validation_error", f"cursor: {sentence}", details={"fields": {"cursor": [sentence]}})
        return int.from_bytes(offset, "big")

    def _mac(self, tenant: UUID, digest: str, arguments: Mapping[str, Any], offset: bytes) -> bytes:
        message = msgspec.json.encode([tenant, digest, arguments, offset], order="deterministic")
        return hmac.digest(self._key, message, "sha256")[:MAC_BYTES]
