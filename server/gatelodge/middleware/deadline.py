"""No call outlives its deadline; while a person answers, or once the client polls a task, the clock stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ..contract import Call, Channel, Middleware, Next, Phase, Result
from ..hookspecs import hookimpl


class DeadlinePlugin:
    """Cancels the handler at `call.deadline`; dispatch answers `timeout`."""

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("deadline", Phase.DEADLINE, within_deadline),)


async def within_deadline(call: Call, call_next: Next) -> Result:
    async with asyncio.timeout_at(call.deadline) as limit:
        if call.channel.waits:
            call = replace(call, channel=cast(Channel, _Patient(call.channel, limit)))
        return await call_next(call)


class _Patient:
    """A channel that stops the clock while it waits for someone."""

    def __init__(self, channel: Channel, limit: asyncio.Timeout) -> None:
        self._channel = channel
        self._limit = limit

    async def ask(self, questions: Mapping[str, Any]) -> Mapping[str, Any]:
        before, asked = self._limit.when(), _now()
        self._limit.reschedule(None)
        try:
            return await self._channel.ask(questions)
        finally:
            self._limit.reschedule(None if before is None else before + _now() - asked)

    async def become_task(self, ttl: float, required: bool) -> bool:
        became = await self._channel.become_task(ttl, required)
        if became:
            self._limit.reschedule(_now() + ttl)
        return became

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def _now() -> float:
    return asyncio.get_running_loop().time()
