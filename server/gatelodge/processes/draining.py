"""The end of a server: who is still being answered, and how long to wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aiohttp import web

from ..contract import Call, Next, Result

SETTLE = 0.1
"""Seconds for the answer of the last call to get from its task to its stream."""
ARRIVAL = 0.3
"""Seconds for requests that were sent on an open connection before its client could know that it is about to close."""


class Readiness(Protocol):
    draining: bool


class Draining:
    """Counts the calls under way. Once `begun`, readiness fails and each response closes its connection."""

    def __init__(self) -> None:
        self.begun = False
        self.readiness: list[Readiness] = []
        self.leaving: list[Callable[[], Awaitable[None]]] = []
        self._calls = 0
        self._quiet = asyncio.Event()

    def begin(self) -> None:
        self.begun = True
        for health in self.readiness:
            health.draining = True

    async def leave(self) -> None:
        """Once no connection is taken any more: let the other replicas know, and hear what they have passed on by then."""
        await asyncio.gather(*(leave() for leave in self.leaving))

    async def count(self, call: Call, call_next: Next) -> Result:
        """Middleware, around all others."""
        self._calls += 1
        try:
            return await call_next(call)
        finally:
            self._calls -= 1
            if self.begun and self._calls == 0:
                self._quiet.set()

    async def quiet(self, timeout: float) -> bool:
        """Wait until no call is under way, for at most `timeout` seconds. False when some still are."""
        await asyncio.sleep(min(ARRIVAL, timeout))
        if self._calls == 0:
            return True
        self._quiet.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._quiet.wait()
                await asyncio.sleep(SETTLE)
        return self._calls == 0

    async def close_connection(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """On each response: a proxy must not keep a connection that is about to go."""
        if self.begun:
            response.force_close()
            response.headers["Connection"] = "close"
