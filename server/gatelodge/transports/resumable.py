"""The event streams of a session: what was sent on one is kept for a while, so that a client that lost it can go on.

Source: MCP 2025-11-25, "Resumability and Redelivery"; SEP-1699 for polling.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from .gate import json_response
from .streaming import accepts_stream, close_stream, open_stream

RETRY = 1.0
"""Seconds after which a client whose connection broke should come back."""
KEPT_BYTES = 2**21
KEPT_EVENTS = 512


class EventStream:
    """Numbered messages, and the one connection they are written to at a time, if there is one.

    `opened` is called once, when the first number goes out by which a client may come back.
    """

    def __init__(self, name: str, *, polling: bool, opened: Callable[[EventStream], None] | None = None) -> None:
        self.name = name
        self.ended = False
        self.headers: dict[str, str] = {}
        self.news = asyncio.Event()
        self._polling = polling
        self._opened = opened
        self._kept: deque[tuple[int, str]] = deque()
        self._bytes = 0
        self._last = 0
        self._delivered = 0
        self._connection = 0
        self._retry: float | None = None
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._connection > 0

    def push(self, message: Mapping[str, Any]) -> None:
        """Add a message; the oldest are forgotten where too much is kept."""
        self.add(self._last + 1, msgspec.json.encode(message).decode())

    def add(self, number: int, text: str) -> None:
        """Add a message that is JSON already, under its number."""
        self._last = number
        self._kept.append((number, text))
        self._bytes += len(text)
        while len(self._kept) > 1 and (self._bytes > KEPT_BYTES or len(self._kept) > KEPT_EVENTS):
            self._bytes -= len(self._kept.popleft()[1])
        self._wake()

    def after(self, number: int) -> list[tuple[int, str]]:
        """The messages after that number which are still kept."""
        return [item for item in self._kept if item[0] > number]

    async def send(self, message: Mapping[str, Any]) -> None:
        self.push(message)

    async def finish(self, message: Mapping[str, Any] | None) -> None:
        """End the stream, by the response where there is one."""
        if message is not None:
            self.push(message)
        self.ended = True
        self._wake()

    async def hang_up(self, retry: float) -> None:
        """End the connection but not the stream; what follows waits for the client to come back."""
        self._retry = retry
        self._changed.set()

    async def reply(self, request: web.Request) -> web.StreamResponse:
        """The reply to the request that began this stream: plain JSON where the response is all there is."""
        streams = accepts_stream(request)
        while not self.ended and not (streams and (self._kept or self._retry is not None)):
            self._changed.clear()
            await self._changed.wait()
        if self.ended and self._retry is None and (len(self._kept) == 1 or not streams):
            self._delivered = self._last
            status = 403 if "WWW-Authenticate" in self.headers else 200  # only a 403 makes a client get a better token
            return json_response(msgspec.Raw(self._kept[-1][1].encode()), status=status, headers=self.headers)
        if self.ended and not self._kept:
            return web.Response(status=202)
        return await self.serve(request, 0)

    async def serve(self, request: web.Request, after: int | None = None) -> web.StreamResponse:
        """Write what comes, from the message after `after` on, until the stream ends or the connection does.

        A new connection takes over from an older one. Without `after` it begins with what no connection has had.
        """
        position = self._delivered if after is None else after
        self._connection = mine = self._connection + 1
        self._changed.set()  # an older connection sees that it is not the one any more
        response = await open_stream(request)
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened(self)
        try:
            if self._polling:
                await response.send("", id=f"{self.name}-{position}", retry=round((self._retry or RETRY) * 1000))
            while self._connection == mine and response.is_connected():
                self._changed.clear()
                for number, text in self.after(position):
                    await response.send(text, id=f"{self.name}-{number}")
                    self._delivered = position = number
                if self.ended or self._retry is not None:
                    break
                await self._changed.wait()
        finally:
            if self._connection == mine:
                self._connection, self._retry = 0, None
            await close_stream(request, response)
        return response

    def _wake(self) -> None:
        self._changed.set()
        self.news.set()
