"""The cache of a server: entries in Redis or in this process, and what happens while Redis is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..storage.breaker import Breaker, RedisGone
from .key import Scope
from .memory import MemoryEntries
from .redis import RedisEntries

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")
WITHOUT_REDIS = "nothing is served from it"


class Entries(Protocol):
    """Where entries are kept."""

    async def get(self, scope: Scope, key: str) -> tuple[str, bytes | None]: ...

    async def put(self, scope: Scope, key: str, data: bytes, *, ttl: float, generation: str) -> None: ...

    async def invalidate(self, scope: Scope) -> None: ...


class Cache:
    """Without Redis nothing is served or kept; what is written then makes its scope stale before Redis serves again.

    `limit` is in bytes, for entries in this process.
    """

    def __init__(self, limit: int, redis: Redis | None = None) -> None:
        self._entries: Entries = MemoryEntries(limit) if redis is None else RedisEntries(redis)
        self._breaker = None if redis is None else Breaker("cache", redis, meanwhile=WITHOUT_REDIS, settle=self._settle)
        self._owed: set[Scope] = set()
        self._writes = 0

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """For as long as calls are served."""
        if self._breaker is None:
            yield
            return
        async with self._breaker.lifespan():
            yield

    @property
    def outages(self) -> int:
        """How often Redis went away."""
        return 0 if self._breaker is None else self._breaker.outages

    def place(self) -> str:
        """Where entries are. Raises `RedisGone` while Redis is."""
        if self._breaker is None:
            return "in this process"
        if self._breaker.open:
            raise RedisGone
        return "in Redis"

    async def get(self, scope: Scope, key: str) -> tuple[str, bytes | None]:
        """The scope's generation, which no write of this process leaves as it was, and the data if there is some."""
        try:
            return await self._run(lambda: self._entries.get(scope, key))
        except RedisGone:
            return f"without Redis, {self._writes}", None

    async def put(self, scope: Scope, key: str, data: bytes, *, ttl: float, generation: str) -> None:
        """Keep the data, if that can be done just now."""
        with suppress(RedisGone):
            await self._run(lambda: self._entries.put(scope, key, data, ttl=ttl, generation=generation))

    async def invalidate(self, scope: Scope) -> None:
        """Make a scope stale: now, or before anything is served from Redis again."""
        self._writes += 1
        self._owed.add(scope)
        with suppress(RedisGone):
            await self._run(lambda: self._entries.invalidate(scope))
            self._owed.discard(scope)

    async def _settle(self) -> None:
        for scope in list(self._owed):
            await self._entries.invalidate(scope)
            self._owed.discard(scope)

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T:
        return await (command() if self._breaker is None else self._breaker.run(command))
