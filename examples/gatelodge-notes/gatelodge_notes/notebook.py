"""The table of notes. Every statement names the tenant: the caller's, and never an argument."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from gatelodge import Notices


class Notebook:
    """Made at the start, when tools are registered; opened with what the server has opened before its first call."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._notices = Notices()
        self.written = 0

    def open(self, pool: Any, notices: Notices) -> None:
        """`pool` is asyncpg's."""
        self._pool, self._notices = pool, notices

    async def find(self, tenant: UUID, *, topic: str | None, text: str, limit: int) -> Sequence[Mapping[str, Any]]:
        sql = """SELECT id, topic, text, author, created_at FROM notes
                 WHERE tenant_id = $1 AND ($2::text IS NULL OR topic = $2) AND position(lower($3) IN lower(text)) > 0
                 ORDER BY id DESC LIMIT $4"""
        return [dict(row) for row in await self._pool.fetch(sql, tenant, topic, text, limit)]

    async def topics(self, tenant: UUID) -> Sequence[str]:
        sql = "SELECT DISTINCT topic FROM notes WHERE tenant_id = $1 ORDER BY topic"
        return [row["topic"] for row in await self._pool.fetch(sql, tenant)]

    async def count(self, tenant: UUID, topic: str | None = None) -> int:
        sql = "SELECT count(*) FROM notes WHERE tenant_id = $1 AND ($2::text IS NULL OR topic = $2)"
        return int(await self._pool.fetchval(sql, tenant, topic))

    async def add(self, tenant: UUID, *, topic: str, text: str, author: str, written_by: str | None = None) -> int:
        sql = """INSERT INTO notes (tenant_id, topic, text, author, written_by)
                 VALUES ($1, $2, $3, $4, $5) RETURNING id"""
        made = int(await self._pool.fetchval(sql, tenant, topic, text, author, written_by))
        self.written += 1
        self._notices.resource_updated(f"notes://topic/{topic}")
        return made

    async def written_by(self, tenant: UUID, digest: str) -> int | None:
        sql = "SELECT id FROM notes WHERE tenant_id = $1 AND written_by = $2"
        found: int | None = await self._pool.fetchval(sql, tenant, digest)
        return found

    async def remove(self, tenant: UUID, topic: str) -> Sequence[str]:
        """The texts of the notes that are no more."""
        sql = "DELETE FROM notes WHERE tenant_id = $1 AND topic = $2 RETURNING text"
        texts = [row["text"] for row in await self._pool.fetch(sql, tenant, topic)]
        self._notices.resource_updated("notes://topics")
        return texts

    async def texts(self, tenant: UUID) -> AsyncIterator[str]:
        """All of them, one by one, without holding them all at once."""
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            async for row in connection.cursor("SELECT text FROM notes WHERE tenant_id = $1", tenant):
                yield row["text"]

    async def total(self) -> int:
        """Of all tenants, for the operator."""
        return int(await self._pool.fetchval("SELECT count(*) FROM notes"))
