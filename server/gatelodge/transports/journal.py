"""Streams of requests, copied to the shared store, for a client that lost one and comes back to another replica."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from ..errors import ErrorCode, ToolError, describe
from ..protocol.jsonrpc import INTERNAL_ERROR, ProtocolError, RequestId, error_response
from ..replicas.exchange import Exchange
from ..replicas.shared import START, Post
from ..storage.breaker import RedisGone
from .resumable import KEPT_EVENTS, EventStream

KEPT = 300.0
"""Seconds after its last message that a stream can be gone on with."""
POLL = 0.2
PATIENCE = 1.0
"""Seconds that a stream may take to get to the store after its client has heard of it."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A message and its number. Number 0 has the id of the request; without a text it is the end."""

    number: int
    text: str | None = None


async def copy(stream: EventStream, exchange: Exchange, box: str, request: RequestId) -> None:
    """Copy a stream until it ends. One that Redis is gone for goes on without its copy."""
    entries = [Entry(0, msgspec.json.encode(request).decode())]
    number, ended = 0, False
    with suppress(RedisGone):
        while not ended:
            stream.news.clear()
            ended = stream.ended
            entries += [Entry(*item) for item in stream.after(number)]
            number = max(entry.number for entry in entries) if entries else number
            if ended:
                entries.append(Entry(-1))
            await _post(exchange, box, entries)
            entries = []
            if not ended:
                await stream.news.wait()


async def _post(exchange: Exchange, box: str, entries: list[Entry]) -> None:
    if entries:
        messages = [msgspec.json.encode(entry) for entry in entries]
        await exchange.run(lambda: exchange.shared.post(box, *messages, most=KEPT_EVENTS + 2, ttl=KEPT))


class Copy:
    """A stream of another replica as the store has it."""

    def __init__(self, stream: EventStream, exchange: Exchange, box: str, replica: str) -> None:
        self.stream = stream
        self._exchange = exchange
        self._box = box
        self._replica = replica
        self._position = START
        self._request: RequestId | None = None

    async def found(self) -> bool:
        """Whether the store has it. Raises `RedisGone`."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await self._read():
            if asyncio.get_running_loop().time() > deadline or not await self._exchange.alive(self._replica):
                return False
            await asyncio.sleep(POLL)
        return True

    async def follow(self) -> None:
        """Until it ends, or the replica that wrote it does: then its client is told, for it would come back for ever."""
        while not self.stream.ended:
            with suppress(RedisGone):
                if not await self._read() and not await self._exchange.alive(self._replica):
                    await self._read()  # what it said last, between the two looks
                    await self._break_off()
            await asyncio.sleep(POLL)

    async def _read(self) -> bool:
        posts = await self._exchange.run(lambda: self._exchange.shared.since(self._box, self._position))
        for post in posts:
            await self._take(post)
        return bool(posts)

    async def _take(self, post: Post) -> None:
        self._position = post.position
        entry = msgspec.json.decode(post.data, type=Entry)
        if entry.text is None:
            await self.stream.finish(None)
        elif entry.number == 0:
            self._request = msgspec.json.decode(entry.text)
        else:
            self.stream.add(entry.number, entry.text)

    async def _break_off(self) -> None:
        if self.stream.ended:
            return
        message = "The server process that ran this request is gone; whether it took effect is not known."
        data = describe(ToolError(ErrorCode.OUTCOME_UNKNOWN, message), "")
        fault = ProtocolError(INTERNAL_ERROR, message, data=data)
        await self.stream.finish(None if self._request is None else error_response(fault, self._request))
