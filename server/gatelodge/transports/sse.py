"""HTTP+SSE of 2024-11-05: `GET /sse` opens the stream and names an endpoint, `POST /messages` takes what is answered on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError
from ..protocol.methods import Protocol
from .gate import PRINCIPAL, REQUEST_ID, call_headers
from .pipe import Pipe
from .sessions import Sessions
from .streaming import STREAMS, open_stream


class LegacySSE:
    """Both endpoints of the older transport."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._sessions = Sessions()
        self._pipes: dict[str, Pipe] = {}

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/sse", self.get)
        app.router.add_post("/messages", self.post)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Open the stream, name the endpoint, and stay until either side leaves."""
        conversation = Conversation(self._protocol, request[PRINCIPAL], "sse")
        session_id = self._sessions.begin(conversation)
        stream = await open_stream(request)

        async def send(message: Mapping[str, Any]) -> None:
            await stream.send(msgspec.json.encode(message).decode(), event="message")

        pipe = self._pipes[session_id] = Pipe(conversation, send)
        try:
            await stream.send(f"/messages?session_id={session_id}", event="endpoint")
            await stream.wait()
        finally:
            self._sessions.end(session_id)
            del self._pipes[session_id]
            request.app[STREAMS].discard(stream)
            await pipe.close()
        return stream

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Take a message for a stream that is open here and belongs to the caller."""
        session_id = request.query.get("session_id", "")
        if self._sessions.find(session_id, request[PRINCIPAL]) is None:
            raise ProtocolError(INVALID_REQUEST, "session_id: no open stream of yours has this id", status=404)
        await self._pipes[session_id].receive(await request.read(), request[REQUEST_ID], call_headers(request))
        return web.Response(status=202, text="Accepted")
