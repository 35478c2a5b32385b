"""Rows written by a process that runs no writer: a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from ..contract import Event
from .batch import Batch, Job, Step
from .journal import of_event
from .record import Record

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection


async def record(connection: Connection, event: Event) -> None:
    """Write down what this transaction does, in the same transaction: no record, no change. Raises what Postgres raises."""
    await _write(connection, of_event(event))


async def write_row(pool: Pool[Any], row: Record, step: Step | None = None) -> None:
    """One row, and its step, in a transaction of their own."""
    async with pool.acquire() as connection:
        await _write(connection, row, step)


def by_operator(action: str, by: str | None, tenant: UUID | None = None, **detail: Any) -> Event:
    """What somebody with the keys of the house did: a key made, a setting changed, a tool approved."""
    return Event(
        action=action,
        outcome="ok",
        request_id=uuid4().hex,
        tenant=tenant,
        user=by,
        method="cli",
        door="cli",
        detail=detail,
    )


async def _write(connection: Connection, row: Record, step: Step | None = None) -> None:
    await connection.execute("SELECT audit_logs_create_partition((now() AT TIME ZONE 'UTC')::date)")
    await Batch([Job(row, step)]).commit(connection)
