"""Chores done once by all replicas together: an advisory lock says who, a table says when."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from .chores import CHORES, Chore, Place

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

logger = logging.getLogger(__name__)

LOCK = 0x6761_7465_6D61_696E
"""The advisory lock's number: `gatemain` in ASCII."""
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

DUE = """
SELECT coalesce((SELECT finished_at < now() - $2 * interval '1 second' FROM maintenance_runs WHERE name = $1), true)"""
RECORD = """
INSERT INTO maintenance_runs (name, ok, detail) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET finished_at = now(), ok = excluded.ok, detail = excluded.detail"""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a chore."""

    name: str
    ok: bool
    detail: str
    finished_at: datetime | None = None


async def run_due(
    pool: Pool[Any],
    place: Callable[[Connection], Place],
    *,
    interval: float = 0.0,
    chores: Iterable[Chore] = CHORES,
) -> list[Run] | None:
    """Do what was not done for `interval` seconds. None while another replica is at it.

    One chore's failure does not keep the others from being done.
    """
    async with _alone(pool) as connection:
        if connection is None:
            return None
        due = [chore for chore in chores if await connection.fetchval(DUE, chore.name, interval)]
        return [await _do(chore, place(connection)) for chore in due]


async def last_runs(pool: Pool[Any]) -> list[Run]:
    rows = await pool.fetch("SELECT name, ok, detail, finished_at FROM maintenance_runs ORDER BY name")
    return [Run(row["name"], row["ok"], row["detail"], row["finished_at"]) for row in rows]


async def _do(chore: Chore, place: Place) -> Run:
    try:
        run = Run(chore.name, True, await chore.run(place))
    except FAILURES as error:
        logger.error("%s was not done: %s", chore.name, error)
        run = Run(chore.name, False, f"{type(error).__name__}: {error}")
    await place.connection.execute(RECORD, run.name, run.ok, run.detail)
    return run


@asynccontextmanager
async def _alone(pool: Pool[Any]) -> AsyncIterator[Connection | None]:
    """A connection that holds the lock, or None while another one does."""
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            yield None
            return
        try:
            yield connection
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
