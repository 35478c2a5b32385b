"""Postgres, for so long and no longer.

A statement that takes too long is ended by cutting its connection. To cancel it would be to ask a server that may be frozen,
or behind a network that swallows packets, and to wait for its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg import Pool

    from .postgres import Connection


@asynccontextmanager
async def bounded(pool: Pool[Any], seconds: float) -> AsyncIterator[Connection]:
    """A connection of the pool, `seconds` to get it and as many to use it.

    Raises `TimeoutError`, or what asyncpg raises of a connection that is gone.
    """
    connection = await pool.acquire(timeout=seconds)
    try:
        with cut_after(connection, seconds):
            yield connection
    finally:
        await pool.release(connection)


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection when what is done with it takes longer."""
    timer = asyncio.get_running_loop().call_later(seconds, cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def cut(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # it may have ended by itself, and is the pool's again
        connection.terminate()
