"""Server-sent events, as aiohttp-sse writes them, and the reply that becomes a stream only when there is something to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from .gate import end_when_revoked, json_response

STREAMS = web.AppKey("streams", set[EventSourceResponse])
EVENT_STREAM = "text/event-stream"


async def open_stream(request: web.Request, headers: Mapping[str, str] | None = None) -> EventSourceResponse:
    """An open event stream, known to the application so that a shutdown can end it."""
    stream = EventSourceResponse(headers=headers, allow_all_methods=True)
    await stream.prepare(request)
    request.app[STREAMS].add(stream)
    end_when_revoked(request)
    return stream


async def close_stream(request: web.Request, stream: EventSourceResponse) -> None:
    request.app[STREAMS].discard(stream)
    stream.stop_streaming()
    await stream.wait()


async def end_streams(app: web.Application) -> None:
    """On shutdown: a stream left open would hold the process for the whole shutdown timeout."""
    streams = app[STREAMS]
    for stream in list(streams):
        stream.stop_streaming()


def accepts_stream(request: web.Request) -> bool:
    return EVENT_STREAM in request.headers.get("Accept", "")


class Reply:
    """The HTTP reply to one stateless request: plain JSON, unless a notification had to be sent before the response."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._stream: EventSourceResponse | None = None
        self._lock = asyncio.Lock()
        self.headers: dict[str, str] = {}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a notification; the first one makes the reply a stream."""
        async with self._lock:
            if self._stream is None:
                self._stream = await open_stream(self._request)
            await self._stream.send(msgspec.json.encode(message).decode())

    async def finish(self, message: Any, *, status: int = 200) -> web.StreamResponse:
        """The response itself, as the last event of a stream that was begun, else as the body."""
        if self._stream is None:
            return json_response(message, status=status, headers=self.headers)
        await self._stream.send(msgspec.json.encode(message).decode())
        await close_stream(self._request, self._stream)
        return self._stream
