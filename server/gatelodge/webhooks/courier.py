"""Takes messages out of an outbox to the receiver, one at a time, and comes back to a receiver that was away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .message import Message
from .outbox import Outbox
from .poster import Poster

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds: a receiver that is back hears within a minute what it has missed."""
CLOSING = 2.0
"""Seconds that a try under way gets when the server stops; after that another server tries again."""
UNREADABLE = 1.0
"""Seconds until an outbox that could not be read is read again."""


class Courier:
    """`counts` is by what came of each try: delivered, failed."""

    def __init__(self, outbox: Outbox, poster: Poster, counts: Counter[str]) -> None:
        self._outbox = outbox
        self._poster = poster
        self._counts = counts
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="webhooks")
        try:
            yield
        finally:
            self._stopping = True
            self._outbox.news.set()
            await asyncio.wait({task}, timeout=CLOSING)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while not self._stopping:
            self._outbox.news.clear()
            pause = await self._empty()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._outbox.news.wait()

    async def _empty(self) -> float | None:
        """Deliver what is due. Seconds until there is something to try again, or None when only news can bring it."""
        try:
            while not self._stopping and (message := await self._outbox.claim()) is not None:
                error = await self._poster.post(message)
                self._counts["failed" if error else "delivered"] += 1
                if error is not None:
                    return await self._postpone(message, error)
                await self._outbox.delivered(message)
        except Exception as error:  # a lost connection takes many forms; deliveries may not end by any of them
            logger.warning("messages to operators cannot be read from Postgres: %s", type(error).__name__)
            return UNREADABLE
        return None

    async def _postpone(self, message: Message, error: str) -> float:
        pause = pause_after(message.attempts)
        logger.warning("%s was not delivered: %s", message.type, error, extra={"attempts": message.attempts})
        await self._outbox.failed(message, error, pause)
        return pause


def pause_after(attempts: int) -> float:
    """Seconds until the next try: a second at first, twice as long each time, up to a minute, less up to a quarter."""
    return float(min(LONGEST_PAUSE, 2.0 ** min(attempts - 1, 10)) * random.uniform(0.75, 1.0))
