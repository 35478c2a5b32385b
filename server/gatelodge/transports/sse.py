"""HTTP+SSE of 2024-11-05: `GET /sse` opens the stream and names an endpoint, `POST /messages` takes what is answered on it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError
from ..protocol.methods import Protocol
from .gate import PRINCIPAL, call_headers
from .headers import REQUEST_ID
from .pipe import Pipe
from .streaming import close_stream, open_stream


class LegacySSE:
    """Both endpoints of the older transport."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._pipes: dict[str, Pipe] = {}

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/sse", self.get)
        app.router.add_post("/messages", self.post)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Open the stream, name the endpoint, and stay until either side leaves."""
        stream = await open_stream(request)

        async def send(message: Mapping[str, Any]) -> None:
            await stream.send(msgspec.json.encode(message).decode(), event="message")

        session_id = secrets.token_urlsafe(24)
        pipe = Pipe(Conversation(self._protocol, request[PRINCIPAL], "sse"), send)
        self._pipes[session_id] = pipe
        try:
            async with pipe.opened():
                await stream.send(f"/messages?session_id={session_id}", event="endpoint")
                await stream.wait()
        finally:
            del self._pipes[session_id]
            await close_stream(request, stream)
        return stream

    async def post(self, request: web.Request) -> web.Response:
        """Take a message; its answer comes down the stream."""
        pipe = self._pipes.get(request.query.get("session_id", ""))
        if pipe is None or pipe.principal.identity != request[PRINCIPAL].identity:
            raise ProtocolError(INVALID_REQUEST, "session_id: no stream with this id is open", status=404)
        headers, principal = call_headers(request), request[PRINCIPAL]
        await pipe.receive(await request.read(), request[REQUEST_ID], headers, principal)
        return web.Response(status=202, text="Accepted")
