"""One row of the audit: what it says, the exact bytes its hash is over, and how rows follow each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

import msgspec

from ..redaction import redact

Kind = Literal["intent", "outcome", "event"]

GENESIS = bytes(32)
"""What the first row of a chain follows."""
LARGEST = 64 * 1024
"""Bytes of JSON in one column; of what is larger a record keeps the size and the hash."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a row says, before it has a place in its tenant's chain.

    An `intent` is written before a write is sent and an `outcome` after, with one `request_id`; everything else is an
    `event`. `action` is the kind of call, or what happened at the door. JSON columns hold JSON text, already redacted.
    """

    tenant: UUID
    kind: Kind
    request_id: str
    trace: str | None = None
    user: str | None = None
    method: str | None = None
    key_id: str | None = None
    address: str | None = None
    door: str | None = None
    tool: str | None = None
    action: str | None = None
    outcome: str | None = None
    arguments: str | None = None
    before: str | None = None
    after: str | None = None
    detail: str | None = None
    duration_ms: float | None = None
    idempotency_key: str | None = None


_said = attrgetter(*(field.name for field in fields(Record) if field.name != "tenant"))


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the number, hash and time of its last row."""

    seq: int
    hash: bytes
    created_at: datetime


START = Head(0, GENESIS, EPOCH)


@dataclass(frozen=True, slots=True)
class Row:
    """A record in its chain."""

    record: Record
    seq: int
    created_at: datetime
    prev_hash: bytes
    hash: bytes

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash, self.created_at)


def follow(head: Head, record: Record, now: datetime) -> Row:
    """The row that comes after `head`. Time does not run backwards in a chain, so that months can be dropped whole."""
    seq, created_at = head.seq + 1, max(head.created_at, now)
    return Row(record, seq, created_at, head.hash, digest(head.hash, seq, created_at, record))


def digest(prev_hash: bytes, seq: int, created_at: datetime, record: Record) -> bytes:
    """SHA-256 of the previous hash and the row as a JSON array: number, Unix time in microseconds, the fields."""
    body = (seq, (created_at - EPOCH) // MICROSECOND, str(record.tenant), *_said(record))
    return hashlib.sha256(prev_hash + msgspec.json.encode(body)).digest()


def json_column(value: Any) -> str | None:
    """A value as a row keeps it: redacted, compact, in one order; of one too large only its size and hash."""
    if value is None:
        return None
    encoded = msgspec.json.encode(redact(value), order="sorted", enc_hook=str)
    if len(encoded) > LARGEST:
        encoded = msgspec.json.encode({"cut": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()})
    return encoded.decode()


def text_column(value: str | None) -> str | None:
    """Text that Postgres takes: no NUL, no lone surrogate."""
    if value is None or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "�").encode("utf-8", "replace").decode()


@lru_cache(maxsize=4096)
def address_column(value: str | None) -> str | None:
    """An address as Postgres writes it, or None for what is none (a unix socket's peer)."""
    try:
        return None if value is None else str(ip_address(value.partition("%")[0]))
    except ValueError:
        return None
