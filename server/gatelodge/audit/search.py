"""Finding rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .ledger import COLUMNS, READ, row_of
from .record import Row

if TYPE_CHECKING:
    from ..storage.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows are meant; None leaves a column open. `since` and `until` are half-open."""

    tenant: UUID | None = None
    user: str | None = None
    tool: str | None = None
    outcome: str | None = None
    kind: str | None = None
    action: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """The WHERE clause and its values."""
        tests = {name: f"{column} = " for name, (column, _) in COLUMNS.items() if hasattr(self, name)}
        tests |= {"since": "created_at >= ", "until": "created_at < "}
        given = [(test, getattr(self, name)) for name, test in tests.items() if getattr(self, name) is not None]
        clause = " AND ".join(f"{test}${number}" for number, (test, _) in enumerate(given, 1))
        return clause or "true", [value for _, value in given]


async def rows(connection: Connection, wanted: Filter, table: str = "audit_logs") -> AsyncIterator[Row]:
    """The rows that are meant, tenant by tenant in the order of their chains, as they stream. Needs a transaction."""
    clause, values = wanted.condition()
    query = f"SELECT {READ} FROM {table} WHERE {clause} ORDER BY tenant_id, seq"
    async for row in connection.cursor(query, *values, prefetch=500):
        yield row_of(row)


async def newest(connection: Connection, wanted: Filter, count: int) -> list[Row]:
    """The newest of the rows that are meant, oldest first."""
    clause, values = wanted.condition()
    query = f"SELECT {READ} FROM audit_logs WHERE {clause} ORDER BY created_at DESC, seq DESC LIMIT {count:d}"
    return [row_of(row) for row in reversed(await connection.fetch(query, *values))]
