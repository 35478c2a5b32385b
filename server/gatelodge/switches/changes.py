"""What other processes changed in Postgres: LISTEN on a connection of its own, and polling for what it did not hear."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from ..storage.postgres import Connection

logger = logging.getLogger(__name__)

Refresh = Callable[[frozenset[str] | None], Awaitable[None]]
"""Told the keys of changed rows, or None where anything may have changed."""

POLL = 5.0
RETRY = 0.5
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class _Watch:
    """One follower of one channel, and the keys it has not been told of."""

    def __init__(self, refresh: Refresh) -> None:
        self.refresh = refresh
        self._keys: set[str] = set()
        self._all = False
        self._news = asyncio.Event()

    def mark(self, key: str | None) -> None:
        if key is None:
            self._all = True
        else:
            self._keys.add(key)
        self._news.set()

    async def follow(self, poll: float) -> None:
        """Tell of every change, and of a possible one each `poll` seconds. A failed refresh is tried again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(poll):
                    await self._news.wait()
            try:
                await self.refresh(self._take())
            except FAILURES as error:
                logger.warning(
                    "cannot read what changed in Postgres, so what was known counts until that works again: %s", error
                )
                await asyncio.sleep(RETRY)
                self.mark(None)

    def _take(self) -> frozenset[str] | None:
        keys = None if self._all or not self._keys else frozenset(self._keys)
        self._keys.clear()
        self._all = False
        self._news.clear()
        return keys


class Changes:
    """`dsn` of None only polls; `poll` is in seconds. What went unheard is read when the connection is back."""

    def __init__(self, dsn: str | None = None, *, poll: float = POLL) -> None:
        self._dsn = dsn
        self._poll = poll
        self._watches: dict[str, list[_Watch]] = {}
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Changes]:
        """Hold the connection, and open it again whenever it breaks."""
        if self._dsn is None:
            yield self
            return
        async with _running(self._stay_connected(self._dsn)):
            yield self

    @asynccontextmanager
    async def watching(self, channel: str, refresh: Refresh) -> AsyncIterator[None]:
        """Call `refresh` once now, raising what it raises, and after every change for as long as this is open."""
        watch = _Watch(refresh)
        self._watches.setdefault(channel, []).append(watch)
        try:
            await self._listen(channel)
            await refresh(None)
            async with _running(watch.follow(self._poll)):
                yield
        finally:
            self._watches[channel].remove(watch)

    async def _stay_connected(self, dsn: str) -> None:
        while True:
            try:
                await self._connect(dsn)
            except FAILURES as error:
                logger.warning(
                    "cannot listen to Postgres, so changes are seen within %g s instead of at once: %s",
                    self._poll,
                    error,
                )
            await asyncio.sleep(RETRY)

    async def _connect(self, dsn: str) -> None:
        """Until the connection is lost. Whatever changed before it was there may have gone unheard."""
        connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "gatelodge-changes"})
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            self._connection = connection
            for channel in list(self._watches):
                await self._listen(channel)
            for watch in [watch for watches in self._watches.values() for watch in watches]:
                watch.mark(None)
            await lost.wait()
        finally:
            self._connection = None
            connection.terminate()

    async def _listen(self, channel: str) -> None:
        async with self._lock:
            if self._connection is not None:
                with suppress(*FAILURES):  # a connection that is going is opened again, and listens then
                    await self._connection.add_listener(channel, self._heard)

    def _heard(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        for watch in self._watches.get(channel, ()):
            watch.mark(str(payload))


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
