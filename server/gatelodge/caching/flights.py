"""One call at a time for each key: those who ask meanwhile share its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..contract import Result

Work = Callable[[], Awaitable[tuple[Result, bool]]]
"""Answers the result, and whether others may have it."""


class Flights:
    """The calls under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Future[Result | None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def join(self, key: str) -> Result | None:
        """The answer of the call under way, or None where it has none to share: each must then ask for itself."""
        return await asyncio.shield(self._flights[key])

    async def lead(self, key: str, work: Work) -> Result:
        """Do the work, and share what comes of it, if it may be shared and the work was not cancelled or broken off."""
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        shared: Result | None = None
        try:
            result, shareable = await work()
            shared = result if shareable else None
        finally:
            del self._flights[key]
            flight.set_result(shared)
        return result
