"""How late the event loop is: the time from when a timer should have fired until it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import Histogram

INTERVAL = 0.5
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """One observation each `INTERVAL` seconds."""

    def __init__(self) -> None:
        help = "Seconds a timer of the event loop fired too late."
        self.histogram = Histogram("gatelodge_event_loop_lag_seconds", help, buckets=BUCKETS, registry=None)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Observe for as long as this is open."""
        task = asyncio.create_task(self._watch(), name="event loop lag")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.histogram.observe(max(0.0, loop.time() - due))
