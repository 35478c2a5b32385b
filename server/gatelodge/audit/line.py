"""The way back to a client that may go away while its write goes on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..contract import JSON, Channel, LogLevel
from ..questions import Question


class Line:
    """A channel that falls silent when the client is `gone`: news that reaches nobody may not end a write half done."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.gone = False

    @property
    def waits(self) -> bool:
        return self._channel.waits

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        if not self.gone:
            with suppress(ConnectionError):
                await self._channel.progress(progress, total, message)

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None:
        if not self.gone:
            with suppress(ConnectionError):
                await self._channel.log(level, data, logger)

    def can_ask(self, kind: type[Question[Any]]) -> bool:
        return not self.gone and self._channel.can_ask(kind)

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        return await self._channel.ask(questions)

    async def hang_up(self, retry: float) -> None:
        if not self.gone:
            with suppress(ConnectionError):
                await self._channel.hang_up(retry)

    async def become_task(self, ttl: float, required: bool) -> bool:
        return await self._channel.become_task(ttl, required)
