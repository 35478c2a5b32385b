"""A client of the oldest transport, that says exactly which of its calls were taken and which were answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

CLIENT = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
GONE = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)


@dataclass(slots=True)
class Listener:
    """One stream of HTTP+SSE. `taken` are ids of messages that got their 202, `answered` those whose answer came.

    `status` is that of the reply to the last message, 0 where there was none.
    """

    session: aiohttp.ClientSession
    url: str
    stream: aiohttp.ClientResponse
    endpoint: str = ""
    taken: set[int] = field(default_factory=set)
    answered: dict[int, Any] = field(default_factory=dict)
    status: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ids: count[int] = field(default_factory=lambda: count(1))

    async def read(self) -> None:
        """Until the stream ends."""
        event = ""
        with suppress(*GONE):
            async for raw in self.stream.content:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    event = line.partition(":")[2].strip()
                elif line.startswith("data:"):
                    await self._hear(event, line.partition(":")[2].strip())
        self.ended.set()
        async with self._heard:
            self._heard.notify_all()

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The answer; None when the stream ended, or the message was not taken."""
        number = next(self._ids)
        if not await self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params}):
            return None
        self.taken.add(number)
        async with self._heard:
            await self._heard.wait_for(lambda: number in self.answered or self.ended.is_set())
        return self.answered.get(number)

    async def begin(self) -> None:
        async with self._heard:
            await self._heard.wait_for(lambda: self.endpoint)
        await self.ask("initialize", CLIENT)
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def _post(self, message: dict[str, Any]) -> bool:
        try:
            async with self.session.post(self.url + self.endpoint, json=message) as reply:
                self.status = reply.status
        except GONE:
            self.status = 0
        return self.status == 202

    async def _hear(self, event: str, data: str) -> None:
        async with self._heard:
            if event == "endpoint":
                self.endpoint = data
            else:
                message = json.loads(data)
                self.answered[message["id"]] = message
            self._heard.notify_all()


@asynccontextmanager
async def listener(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Listener]:
    """A stream that is open and initialised."""
    async with session.get(f"{url}/sse") as stream:
        made = Listener(session, url, stream)
        reading = asyncio.create_task(made.read())
        try:
            await made.begin()
            yield made
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
