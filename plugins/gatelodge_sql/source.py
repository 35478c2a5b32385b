"""A Postgres database that templates read, in transactions that see only the caller's rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from gatelodge import Observer, StartupError, Storage
from gatelodge.storage import StorageError
from gatelodge.storage.postgres import create_pool

from .template import OWN_SOURCE

if TYPE_CHECKING:
    from asyncpg import Pool

    from gatelodge.storage.postgres import Connection

READER = "gatelodge_reader"
RESTRICT = """
SELECT set_config('app.current_tenant_id', $1, true), set_config('statement_timeout', $2, true),
       set_config('role', coalesce($3, current_setting('role')), true),
       set_config('pg_trgm.word_similarity_threshold', '0.45', true)
"""
"""The last one is for the operator `<%`: at its default of 0.6, "invoce" does not find "invoice"."""
UNRESTRICTED = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"


@dataclass(frozen=True, slots=True)
class Source:
    """`role` is taken on for each transaction; without one the DSN's own user must be a restricted one.

    `turns` are the connections that templates may hold at once, so that slow ones leave some to the rest of the server.
    """

    name: str
    pool: Pool[Any]
    turns: asyncio.Semaphore
    role: str | None = None
    observers: tuple[Observer, ...] = ()

    @property
    def busy(self) -> int:
        return self.pool.get_size() - self.pool.get_idle_size()

    @asynccontextmanager
    async def reading(self, tenant: UUID, timeout: float) -> AsyncIterator[Connection]:
        """A read-only transaction of one tenant, in which a statement may take `timeout` seconds."""
        milliseconds = max(1, int(timeout * 1000))
        async with self.turns, self.pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(RESTRICT, str(tenant), str(milliseconds), self.role)
            yield connection

    async def check(self) -> str:
        """For the health page. Raises when the database does not answer."""
        await self.pool.fetchval("SELECT 1")
        return f"{self.pool.get_size()} connections"


@asynccontextmanager
async def open_sources(storage: Storage, dsns: dict[str, str]) -> AsyncIterator[dict[str, Source]]:
    """The server's own database and those of the operator, by name. Raises `StartupError`."""
    async with AsyncExitStack() as stack:
        half = asyncio.Semaphore(max(1, storage.postgres.get_max_size() // 2))
        sources = {OWN_SOURCE: Source(OWN_SOURCE, storage.postgres, half, READER, storage.observers)}
        for name, dsn in dsns.items():
            pool = await _connect(name, dsn, storage.observers)
            stack.push_async_callback(pool.close)
            await _refuse_unrestricted(name, pool)
            turns = asyncio.Semaphore(pool.get_max_size())
            sources[name] = Source(name, pool, turns, observers=storage.observers)
        yield sources


async def _connect(name: str, dsn: str, observers: tuple[Observer, ...]) -> Pool[Any]:
    try:
        return await create_pool(dsn, max_size=10, application="gatelodge-sql", observers=observers)
    except StorageError as error:
        raise StorageError(f"source {name}: {error.args[0].removeprefix('storage: ')}") from None


async def _refuse_unrestricted(name: str, pool: Pool[Any]) -> None:
    try:
        unrestricted = await pool.fetchval(UNRESTRICTED)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StorageError(f"source {name} cannot be used: {error}") from None
    if unrestricted:
        raise StartupError(
            "setting_invalid",
            f"GATELODGE_SQL_SOURCES: {name} connects past row-level security; use a role that may only read",
        )
