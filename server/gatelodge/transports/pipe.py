"""Messages down one pipe that answers in its own time: an HTTP+SSE stream, or stdio."""

from __future__ import annotations

import asyncio

from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, Message, ProtocolError, error_response, parse, response
from ..protocol.peer import NO_HEADERS, CallHeaders, Notify


class Pipe:
    """A conversation, the way to send on it, and the calls under way that end with it."""

    def __init__(self, conversation: Conversation, send: Notify) -> None:
        self._conversation = conversation
        self._send = send
        self._running: dict[str | int, asyncio.Task[None]] = {}

    async def receive(self, body: bytes, request_id: str, headers: CallHeaders = NO_HEADERS) -> None:
        """Take one message. Requests run side by side; `initialize` is answered before the next message is read.

        Raises `ProtocolError` for what is no message, and for an id that is in use.
        """
        message = parse(body)
        if isinstance(message, list):
            raise ProtocolError(INVALID_REQUEST, "JSON-RPC batches are not part of this protocol revision")
        if message.method == "notifications/cancelled":
            self._cancel(message.params.get("requestId"))
        elif message.method == "initialize" and message.id is not None:
            await self._answer(message, request_id, headers)
        elif message.method is not None and message.id is not None:
            self._start(message, request_id, headers)

    async def close(self) -> None:
        """Cancel what still runs, and wait until it has stopped."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, message: Message, request_id: str, headers: CallHeaders) -> None:
        id = message.id
        assert id is not None
        if id in self._running:
            raise ProtocolError(INVALID_REQUEST, "id: a request with this id is still running", id=id)
        task = asyncio.create_task(self._answer(message, request_id, headers))
        self._running[id] = task
        task.add_done_callback(lambda _: self._running.pop(id, None))

    def _cancel(self, id: object) -> None:
        task = self._running.get(id) if isinstance(id, str | int) else None
        if task is not None:
            task.cancel()

    async def _answer(self, message: Message, request_id: str, headers: CallHeaders) -> None:
        assert message.id is not None
        try:
            result = await self._conversation.answer(message, request_id, notify=self._send, headers=headers)
        except ProtocolError as error:
            await self._send(error_response(error, message.id))
        else:
            await self._send(response(message.id, result))
