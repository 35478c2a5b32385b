"""Messages down one pipe that answers in its own time: an HTTP+SSE stream, or stdio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..contract import Principal
from ..notices import Notice
from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError, parse
from ..protocol.peer import NO_HEADERS, CallHeaders, Line, Send
from ..protocol.subscriptions import Pending
from .running import Running


class Pipe:
    """A conversation, the way to send on it, and the calls under way that end with it."""

    def __init__(self, conversation: Conversation, send: Send) -> None:
        self.principal = conversation.principal
        self._conversation = conversation
        self.send = send
        self._running = Running(conversation)
        self._pending = Pending()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """While open, change notices go down the pipe; at the end what still runs is cancelled."""
        with self._conversation.protocol.notices.followed(self._hear_notice):
            telling = asyncio.create_task(self._tell())
            try:
                yield
            finally:
                telling.cancel()
                await asyncio.gather(telling, *self._running.stop(), return_exceptions=True)

    async def receive(
        self, body: bytes, request_id: str, headers: CallHeaders = NO_HEADERS, principal: Principal | None = None
    ) -> None:
        """Take one message. Requests run side by side; `initialize` is answered before the next message is read.

        Raises `ProtocolError` for what is no message, and for an id that is in use.
        """
        message = parse(body)
        if isinstance(message, list):
            raise ProtocolError(INVALID_REQUEST, "JSON-RPC batches are not part of this protocol revision")
        line = Line(send=self.send, headers=headers, principal=principal)
        if message.method is None or message.id is None:
            self._running.hear(message)
        elif message.method == "initialize":
            await self._running.answer(message, request_id, line, self._finish)
        else:
            self._running.start(message, request_id, line, self._finish)

    async def _finish(self, answer: Mapping[str, Any] | None) -> None:
        if answer is not None:
            await self.send(answer)

    def _hear_notice(self, notice: Notice) -> None:
        if self._conversation.hears(notice) is not None:
            self._pending.add(notice)

    async def _tell(self) -> None:
        while (notice := await self._pending.next()) is not None:
            message = self._conversation.hears(notice)
            if message is not None:
                await self.send(message)
