"""The requests of one client that are under way, and everything else it says about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, Message, ProtocolError, error_response, response
from ..protocol.peer import Line

Finish = Callable[[Mapping[str, Any] | None], Awaitable[None]]
"""Takes the response, or None for a request that was cancelled and gets none."""


class Running:
    """A conversation with its requests side by side, each in a task of its own, by the id its client gave it."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._tasks: dict[str | int, asyncio.Task[None]] = {}

    def start(self, message: Message, request_id: str, line: Line, finish: Finish) -> None:
        """Answer a request. Raises `ProtocolError` for an id that is in use."""
        id = message.id
        assert id is not None
        if id in self._tasks:
            raise ProtocolError(INVALID_REQUEST, "id: a request with this id is still running", id=id)
        task = asyncio.create_task(self.answer(message, request_id, line, finish))
        self._tasks[id] = task
        task.add_done_callback(lambda _: self._tasks.pop(id, None))

    def hear(self, message: Message) -> None:
        """Take what is no request: a response to one of ours, or a notification."""
        if message.method is None:
            self.conversation.requests.resolve(message)
        elif message.method == "notifications/cancelled":
            id = message.params.get("requestId")
            task = self._tasks.get(id) if isinstance(id, str | int) else None
            if task is not None:
                task.cancel()

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel whatever runs, and answer what to wait for."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    async def answer(self, message: Message, request_id: str, line: Line, finish: Finish) -> None:
        """Answer a request here and now."""
        assert message.id is not None
        try:
            result = await self.conversation.answer(message, request_id, line)
        except ProtocolError as error:
            await finish(error_response(error, message.id))
        except asyncio.CancelledError:
            await finish(None)
            raise
        else:
            await finish(response(message.id, result))
