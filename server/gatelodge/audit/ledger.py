"""The audit's tables: rows added to their tenants' chains inside one transaction, and rows read back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .record import GENESIS, Head, Record, Row, follow

if TYPE_CHECKING:
    from ..storage.postgres import Connection

COLUMNS: Mapping[str, tuple[str, str]] = {
    "tenant": ("tenant_id", "uuid"),
    "kind": ("kind", "text"),
    "request_id": ("request_id", "text"),
    "trace": ("trace", "text"),
    "user": ("user_id", "text"),
    "method": ("auth_method", "text"),
    "key_id": ("key_id", "text"),
    "address": ("address", "inet"),
    "door": ("door", "text"),
    "tool": ("tool", "text"),
    "action": ("action", "text"),
    "outcome": ("outcome", "text"),
    "arguments": ("arguments", "json"),
    "before": ("before", "json"),
    "after": ("after", "json"),
    "detail": ("detail", "json"),
    "duration_ms": ("duration_ms", "float8"),
    "idempotency_key": ("idempotency_key", "text"),
}
"""A record's fields as columns, with their types."""
PLACE = {"seq": "int8", "created_at": "timestamptz", "prev_hash": "bytea", "hash": "bytea"}
FIELDS = tuple(field.name for field in fields(Record))
AS_TEXT = frozenset({"json", "inet"})
"""Types that are sent and read as text: JSON because the hash is over its very text."""

_fields = attrgetter(*FIELDS)
_columns = [*(COLUMNS[name] for name in FIELDS), *PLACE.items()]
_names = ", ".join(name for name, _ in _columns)
_values = ", ".join(f"r.{name}::{kind}" for name, kind in _columns)
_arrays = ", ".join(f"${n}::{'text' if kind in AS_TEXT else kind}[]" for n, (_, kind) in enumerate(_columns, 1))

LOCK = """
SELECT tenant_id, seq, hash, created_at, clock_timestamp() AS now FROM audit_heads
WHERE tenant_id = ANY($1::uuid[]) ORDER BY tenant_id FOR UPDATE"""
BEGIN_CHAINS = """
INSERT INTO audit_heads (tenant_id, seq, hash, created_at)
SELECT tenant, 0, $2, 'epoch' FROM unnest($1::uuid[]) AS tenant ORDER BY 1 ON CONFLICT DO NOTHING"""
APPEND = f"""
WITH added AS (INSERT INTO audit_logs ({_names}) SELECT {_values} FROM unnest({_arrays}) AS r ({_names}))
UPDATE audit_heads AS h SET seq = n.seq, hash = n.hash, created_at = n.created_at
FROM unnest(${len(_columns) + 1}::uuid[], ${len(_columns) + 2}::int8[], ${len(_columns) + 3}::bytea[],
            ${len(_columns) + 4}::timestamptz[]) AS n (tenant_id, seq, hash, created_at)
WHERE h.tenant_id = n.tenant_id"""
HOLDS = "SELECT EXISTS (SELECT FROM audit_logs WHERE tenant_id = $1 AND seq = $2 AND hash = $3)"
READ = ", ".join(
    name if kind not in AS_TEXT else f"host({name}) AS {name}" if kind == "inet" else f"{name}::text AS {name}"
    for name, kind in _columns
)
"""The columns of a row as `row_of` reads them."""

Heads = dict[UUID, Head]


async def lock_heads(connection: Connection, tenants: Iterable[UUID]) -> tuple[Heads, datetime]:
    """The heads of these chains, held until the transaction ends, and Postgres's clock.

    They are locked in one order everywhere, so two replicas cannot wait for each other.
    """
    wanted = sorted(set(tenants))
    found = await connection.fetch(LOCK, wanted)
    if len(found) < len(wanted):
        await connection.execute(BEGIN_CHAINS, wanted, GENESIS)
        found = await connection.fetch(LOCK, wanted)
    heads = {row["tenant_id"]: Head(row["seq"], row["hash"], row["created_at"]) for row in found}
    return heads, max(row["now"] for row in found)


def chain(heads: Heads, records: Iterable[Record], now: datetime) -> tuple[list[Row], Heads]:
    """The records as rows that follow the heads, and where that leaves the chains it touched."""
    rows: list[Row] = []
    moved: Heads = {}
    for record in records:
        row = follow(moved.get(record.tenant) or heads[record.tenant], record, now)
        moved[record.tenant] = row.head
        rows.append(row)
    return rows, moved


async def append(connection: Connection, rows: Sequence[Row], moved: Heads) -> None:
    """Add rows and move the heads. The heads must be locked."""
    values = [(*_fields(r.record), r.seq, r.created_at, r.prev_hash, r.hash) for r in rows]
    ends = [(tenant, head.seq, head.hash, head.created_at) for tenant, head in moved.items()]
    await connection.execute(APPEND, *zip(*values, strict=True), *zip(*ends, strict=True))


async def holds(connection: Connection, row: Row) -> bool:
    """Whether the table has exactly this row."""
    return bool(await connection.fetchval(HOLDS, row.record.tenant, row.seq, row.hash))


def row_of(row: Mapping[str, Any]) -> Row:
    """A row as it was read with the columns of `READ`."""
    record = Record(**{name: row[column] for name, (column, _) in COLUMNS.items()})
    return Row(record, row["seq"], row["created_at"], row["prev_hash"], row["hash"])


async def read_chain(connection: Connection, tenant: UUID, after: int = 0) -> AsyncIterator[Row]:
    """A tenant's rows by number, as they stream. Needs a transaction."""
    query = f"SELECT {READ} FROM audit_logs WHERE tenant_id = $1 AND seq > $2 ORDER BY seq, created_at"
    async for row in connection.cursor(query, tenant, after, prefetch=500):
        yield row_of(row)
