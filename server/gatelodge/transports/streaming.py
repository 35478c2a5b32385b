"""Server-sent events, as aiohttp-sse writes them, and the reply that becomes a stream only when there is something to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from .gate import json_response

STREAMS = web.AppKey("streams", set[EventSourceResponse])


async def open_stream(request: web.Request, headers: Mapping[str, str] | None = None) -> EventSourceResponse:
    """An open event stream, known to the application so that a shutdown can end it."""
    stream = EventSourceResponse(headers=headers, allow_all_methods=True)
    await stream.prepare(request)
    request.app[STREAMS].add(stream)
    return stream


async def end_streams(app: web.Application) -> None:
    """On shutdown: a stream left open would hold the process for the whole shutdown timeout."""
    for stream in list(app[STREAMS]):
        stream.stop_streaming()


class Reply:
    """The HTTP reply to one JSON-RPC request: plain JSON, unless a notification had to be sent before the response."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._stream: EventSourceResponse | None = None
        self._streams = "text/event-stream" in request.headers.get("Accept", "")
        self._lock = asyncio.Lock()

    async def notify(self, message: Mapping[str, Any]) -> None:
        """Send a notification; a client that does not accept event streams does not hear it."""
        if not self._streams:
            return
        async with self._lock:
            if self._stream is None:
                self._stream = await open_stream(self._request)
            await self._stream.send(msgspec.json.encode(message).decode())

    async def finish(
        self, message: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """The response itself, as the last event of a stream that was begun, else as the body."""
        if self._stream is None:
            return json_response(message, status=status, headers=headers)
        await self._stream.send(msgspec.json.encode(message).decode())
        self._request.app[STREAMS].discard(self._stream)
        self._stream.stop_streaming()
        await self._stream.wait()
        return self._stream
