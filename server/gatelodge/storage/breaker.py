"""A breaker in front of Redis: while it is gone nobody waits for it, and it is found again without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

TIMEOUT = 1.0
"""Seconds a command may take on the way of a call: longer than a healthy server needs, even if this process is busy."""
PROBE_INTERVAL = 1.0
UNREACHABLE = (RedisError, OSError, TimeoutError)

T = TypeVar("T")


class RedisGone(Exception):
    """Redis cannot be used now; do without it."""


class Breaker:
    """Runs commands while Redis answers. After the first that fails, each is refused at once and a task asks for Redis.

    `outages` counts how often that happened, `refused` the commands that failed or were not tried. `name` is whose it is,
    `meanwhile` says what holds without Redis. `settle` is run when Redis answers again, before anything else is.
    """

    def __init__(
        self,
        name: str,
        redis: Redis,
        *,
        meanwhile: str = "it is asked for again every second",
        settle: Callable[[], Awaitable[None]] | None = None,
        timeout: float = TIMEOUT,
        interval: float = PROBE_INTERVAL,
    ) -> None:
        self._name = name
        self._redis = redis
        self._meanwhile = meanwhile
        self._settle = settle
        self._timeout = timeout
        self._interval = interval
        self._probe: asyncio.Task[None] | None = None
        self.outages = 0
        self.refused = 0

    @property
    def open(self) -> bool:
        """Whether Redis is out of use."""
        return self._probe is not None

    @property
    def retry_after(self) -> float:
        """Seconds after which it may be back."""
        return self._interval

    async def run(self, command: Callable[[], Awaitable[T]]) -> T:
        """The command's answer. Raises `RedisGone`."""
        if self._probe is None:
            try:
                async with asyncio.timeout(self._timeout):
                    return await command()
            except UNREACHABLE as error:
                self._trip(error)
        self.refused += 1
        raise RedisGone

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Ends the probing task with the server."""
        try:
            yield
        finally:
            if self._probe is not None:
                self._probe.cancel()
                with suppress(asyncio.CancelledError):
                    await self._probe

    def _trip(self, error: BaseException) -> None:
        if self._probe is None:  # several commands may have been under way
            self.outages += 1
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            logger.warning("%s: Redis is gone (%s); until it is back, %s", self._name, reason, self._meanwhile)
            self._probe = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            with suppress(*UNREACHABLE):
                async with asyncio.timeout(self._timeout):
                    await self._redis.ping()
                if self._settle is not None:
                    await self._settle()
                break
        self._probe = None
        logger.warning("%s: Redis is back", self._name)
