"""Anchors: where a chain stood, signed, to be kept off the host. A chain that was rewritten does not lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..signing import derive
from .record import Head

if TYPE_CHECKING:
    from ..storage.postgres import Connection

Reason = Literal["anchor", "prune"]

COLUMNS = "tenant_id, seq, hash, created_at, reason, signed_at, public_key, signature"
READ = f"SELECT {COLUMNS} FROM audit_anchors ORDER BY tenant_id, seq"
HEADS = """
SELECT tenant_id, seq, hash, created_at FROM audit_heads
WHERE seq > 0 AND ($1::uuid IS NULL OR tenant_id = $1) ORDER BY tenant_id"""
KEEP = f"""
INSERT INTO audit_anchors ({COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A row's number, hash and time. `public_key` and `signature` are raw Ed25519; None where there was no secret."""

    tenant: UUID
    seq: int
    hash: bytes
    created_at: datetime
    reason: Reason
    signed_at: datetime
    public_key: bytes | None = None
    signature: bytes | None = None

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash, self.created_at)

    @property
    def message(self) -> bytes:
        """What is signed: a JSON array."""
        times = [moment.astimezone(UTC).isoformat() for moment in (self.created_at, self.signed_at)]
        parts = ["gatelodge audit", str(self.tenant), self.seq, self.hash.hex(), self.reason, *times]
        return msgspec.json.encode(parts)


class Signer:
    """Signs with an Ed25519 key that belongs to the server's secret."""

    def __init__(self, secret: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(derive(secret, "audit anchors"))

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, anchor: Anchor) -> Anchor:
        return replace(anchor, public_key=self.public_key, signature=self._key.sign(anchor.message))


def is_signed(anchor: Anchor, trusted: Iterable[bytes]) -> bool:
    """Whether one of these public keys signed the anchor."""
    if anchor.signature is None or anchor.public_key not in set(trusted):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(anchor.public_key or b"").verify(anchor.signature, anchor.message)
    except InvalidSignature:
        return False
    return True


def make_anchor(tenant: UUID, head: Head, reason: Reason, signer: Signer | None) -> Anchor:
    now = datetime.now(UTC)
    anchor = Anchor(
        tenant=tenant, seq=head.seq, hash=head.hash, created_at=head.created_at, reason=reason, signed_at=now
    )
    return signer.sign(anchor) if signer else anchor


async def anchor_heads(connection: Connection, signer: Signer, tenant: UUID | None = None) -> list[Anchor]:
    """Sign where each chain stands, and keep the anchors in the database too."""
    rows = await connection.fetch(HEADS, tenant)
    anchors = [make_anchor(row[0], Head(*list(row)[1:]), "anchor", signer) for row in rows]
    await keep_anchors(connection, anchors)
    return anchors


async def keep_anchors(connection: Connection, anchors: Sequence[Anchor]) -> None:
    rows = [(a.tenant, a.seq, a.hash, a.created_at, a.reason, a.signed_at, a.public_key, a.signature) for a in anchors]
    await connection.executemany(KEEP, rows)


async def read_anchors(connection: Connection) -> list[Anchor]:
    return [
        Anchor(
            tenant=row["tenant_id"],
            seq=row["seq"],
            hash=row["hash"],
            created_at=row["created_at"],
            reason=row["reason"],
            signed_at=row["signed_at"],
            public_key=row["public_key"],
            signature=row["signature"],
        )
        for row in await connection.fetch(READ)
    ]


def anchor_line(anchor: Anchor) -> bytes:
    """The anchor as one line of NDJSON; bytes are hexadecimal."""
    return msgspec.json.encode(
        {
            "tenant": anchor.tenant,
            "seq": anchor.seq,
            "hash": anchor.hash.hex(),
            "created_at": anchor.created_at,
            "reason": anchor.reason,
            "signed_at": anchor.signed_at,
            "public_key": anchor.public_key.hex() if anchor.public_key else None,
            "signature": anchor.signature.hex() if anchor.signature else None,
        }
    )


def anchor_of(line: bytes) -> Anchor:
    """The anchor of a line. Raises `ValueError` for what is none."""
    try:
        wire = msgspec.json.decode(line)
        for name in ("hash", "public_key", "signature"):
            wire[name] = None if wire[name] is None else bytes.fromhex(wire[name])
        for name in ("created_at", "signed_at"):
            wire[name] = datetime.fromisoformat(wire[name])
        return Anchor(**{**wire, "tenant": UUID(wire["tenant"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an anchor: {type(error).__name__}") from None
