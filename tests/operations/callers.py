"""Clients of every kind that call through the proxy all the time, and tell of each call that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from .certificate import trusting
from .front import Front
from .listener import Listener, listener

KEY = "k" * 32
SIGNED_IN = {"X-API-Key": KEY}
READ = {"issue_key": "OPS-1"}
ENOUGH = 30
"""Calls of each client that must be answered before a change, and again after it."""
PATIENCE = 120.0
"""Seconds that this may take."""
STATELESS, SESSIONS = "2026-07-28", "legacy"


@dataclass(slots=True)
class Caller:
    """Calls until it is stopped; `failed` has what went wrong, each with the number of the call.

    `kept` says whether it uses a connection for more than one request.
    """

    name: str
    kept: bool = True
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, one: Callable[[], Awaitable[bool]]) -> None:
        while not self.stopped.is_set():
            try:
                good = await one()
            except Exception as error:  # whatever the client raises is a call that failed
                self.failed.append(f"{self.answered}: {error!r}")
                await asyncio.sleep(0.1)
                continue
            if good:
                self.answered += 1
            else:
                self.failed.append(f"{self.answered}: refused")

    async def several(self, more: int = ENOUGH) -> None:
        """Wait until so many more were answered."""
        wanted, until = self.answered + more, asyncio.get_running_loop().time() + PATIENCE
        while self.answered < wanted:
            assert asyncio.get_running_loop().time() < until, f"{self.name} got no further: {self}"
            await asyncio.sleep(0.05)


Kind = Callable[[Front, Caller], Awaitable[None]]


async def stateless(front: Front, caller: Caller) -> None:
    """The official client, on the revision without sessions."""
    await _official(front, caller, STATELESS)


async def in_a_session(front: Front, caller: Caller) -> None:
    """The official client, in one session for all of its calls."""
    await _official(front, caller, SESSIONS)


async def writing(front: Front, caller: Caller) -> None:
    """Writes by the plain door, each with a key of its own."""
    async with _session(front, caller) as session:

        async def write() -> bool:
            key = f"{id(caller)}-{caller.answered}-{len(caller.failed)}"
            arguments = {"project_key": "OPS", "issue_type": "Task", "summary": key, "idempotency_key": key}
            body = {"name": "jira.create_issue", "arguments": arguments}
            async with session.post(f"{front.url}/api/v1/mcp/tools/call", json=body) as reply:
                return reply.status == 200

        await caller.call(write)


async def listening(front: Front, caller: Caller) -> None:
    """HTTP+SSE: a stream that ends is opened anew, and no call that was taken may be without its answer by then."""
    async with _session(front, caller) as session:
        while not caller.stopped.is_set():
            async with listener(session, front.url) as stream:
                await _until_it_ends(stream, caller)


async def _until_it_ends(stream: Listener, caller: Caller) -> None:
    """A 404 says that the stream has gone; any other refusal is a call that failed on a stream that goes on."""
    while not caller.stopped.is_set() and not stream.ended.is_set():
        if await stream.ask("tools/call", {"name": "jira.get_issue", "arguments": READ}) is not None:
            caller.answered += 1
        elif stream.status == 404:
            async with asyncio.timeout(30):
                await stream.ended.wait()
        elif stream.status != 202:
            caller.failed.append(f"{caller.answered}: refused with {stream.status}")
    lost = len(stream.taken - stream.answered.keys())
    caller.failed.extend(lost * [f"{caller.answered}: taken and not answered"])


async def _official(front: Front, caller: Caller, mode: str) -> None:
    limits = httpx2.Limits(max_keepalive_connections=None if caller.kept else 0)
    async with (
        httpx2.AsyncClient(verify=trusting(front.certificate), headers=SIGNED_IN, timeout=30, limits=limits) as http,
        Client(streamable_http_client(f"{front.url}/mcp", http_client=http), mode=mode) as client,
    ):

        async def read() -> bool:
            return not (await client.call_tool("jira.get_issue", READ)).is_error

        await caller.call(read)


def _session(front: Front, caller: Caller) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=trusting(front.certificate), force_close=not caller.kept)
    return aiohttp.ClientSession(headers=SIGNED_IN, connector=connector)


@asynccontextmanager
async def calling(front: Front, *kinds: Kind, lost: int = 0, kept: bool = True) -> AsyncIterator[list[Caller]]:
    """Clients of each kind that call all the time; at the end no more than `lost` calls of each may have failed."""
    callers = [Caller(kind.__name__, kept) for kind in kinds]
    async with asyncio.TaskGroup() as group:
        for kind, caller in zip(kinds, callers, strict=True):
            group.create_task(_awaited(kind(front, caller)))
        await asyncio.gather(*(caller.several() for caller in callers))
        yield callers
        await asyncio.gather(*(caller.several() for caller in callers))
        for caller in callers:
            caller.stopped.set()
    for caller in callers:
        assert len(caller.failed) <= lost, f"{caller.name}: {caller.failed}\n{front.log()}"


async def _awaited(task: Awaitable[None]) -> None:
    await task
