"""A row written by a process that runs no writer: a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contract import Event
from .batch import Batch, Job, Step
from .journal import of_event
from .record import Record

if TYPE_CHECKING:
    from asyncpg import Pool


async def record_event(pool: Pool[Any], event: Event) -> None:
    """Write down what a command did: a key made, a setting changed. Raises what Postgres raises."""
    await write_row(pool, of_event(event))


async def write_row(pool: Pool[Any], record: Record, step: Step | None = None) -> None:
    """One row, and its step, in a transaction of their own."""
    async with pool.acquire() as connection:
        await connection.execute("SELECT audit_logs_create_partition((now() AT TIME ZONE 'UTC')::date)")
        await Batch([Job(record, step)]).commit(connection)
