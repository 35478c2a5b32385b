"""No call outlives its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..contract import Call, Middleware, Next, Phase, Result
from ..hookspecs import hookimpl


class DeadlinePlugin:
    """Cancels the handler at `call.deadline`; dispatch answers `timeout`."""

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("deadline", Phase.DEADLINE, within_deadline),)


async def within_deadline(call: Call, call_next: Next) -> Result:
    async with asyncio.timeout_at(call.deadline):
        return await call_next(call)
