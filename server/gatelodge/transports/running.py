"""The requests of one client that are under way, and everything else it says about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import ErrorCode, ToolError, describe
from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Message,
    ProtocolError,
    RequestId,
    error_response,
    response,
)
from ..protocol.peer import Line

logger = logging.getLogger(__name__)

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
        elif (id := cancelled_id(message)) is not None:
            self.cancel(id)

    def __contains__(self, id: RequestId) -> bool:
        return id in self._tasks

    def cancel(self, id: RequestId) -> None:
        """Cancel a request, if it runs here."""
        task = self._tasks.get(id)
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
        except Exception:  # a client that is never answered would wait for ever; the log has the cause
            logger.exception("request failed", extra={"request_id": request_id, "method": message.method})
            await finish(error_response(_failed(request_id), message.id))
        else:
            await finish(response(message.id, result))


def _failed(request_id: str) -> ProtocolError:
    error = ToolError(ErrorCode.INTERNAL, "The server failed; its log has the cause.")
    return ProtocolError(INTERNAL_ERROR, error.message, data=describe(error, request_id))


def cancelled_id(message: Message) -> RequestId | None:
    """The request that a message cancels, if it is one that cancels."""
    id = message.params.get("requestId") if message.method == "notifications/cancelled" else None
    return id if isinstance(id, str | int) else None
