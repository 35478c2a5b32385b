"""The end of a server: readiness fails, calls under way are answered, streams end, the audit is whole."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg
import pytest
from marshmallow import Schema, fields

from gatelodge import READ, Call, Tool, hookimpl
from gatelodge.cli.serve import FLUSH
from gatelodge.listening import CANCEL_TIMEOUT
from gatelodge.testing import OpenGatelodge

from .listener import Listener, listener
from .processes import serving

STREAMS = 200
CALLERS = 12
TALKERS = 50
"""Streams, of all, on which calls are made all the time."""
DRAIN = {"GATELODGE_DRAIN_DELAY": "0.5", "GATELODGE_DRAIN_TIMEOUT": "20"}
WITHIN = 0.5 + 20 + 2 * CANCEL_TIMEOUT + FLUSH
"""Seconds that such a server may take to end, whatever is going on."""
LIMITS = {"MCP_RATE_LIMIT_ENABLED": "false", "RATE_LIMIT_DEFAULT": "1000000", "GATELODGE_MAX_CALLS": "0"}
REFUSED = (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Nothing(Schema):
    """No arguments."""


class Done(Schema):
    done = fields.Boolean(required=True)


class SlowPlugin:
    """A tool that answers when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    @hookimpl
    def gatelodge_tools(self) -> list[Tool]:
        return [
            Tool(
                name="slow.wait",
                title="Wait",
                description="Waits.",
                input=Nothing,
                output=Done,
                handler=self.wait,
                annotations=READ,
            )
        ]

    async def wait(self, call: Call) -> Mapping[str, Any]:
        self.begun.set()
        await self.released.wait()
        return {"done": True}


async def _open_streams(session: aiohttp.ClientSession, url: str) -> list[aiohttp.ClientResponse]:
    return await asyncio.gather(*(session.get(f"{url}/sse") for _ in range(STREAMS)))


async def _call_until_refused(url: str, caller: int) -> tuple[set[str], set[str]]:
    """Idempotency keys of the writes that were answered, and of those that were not."""
    answered: set[str] = set()
    unanswered: set[str] = set()
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        for number in range(10_000):
            key = f"{caller}-{number}"
            arguments = {"project_key": "OPS", "issue_type": "Task", "summary": key, "idempotency_key": key}
            body = {"name": "jira.create_issue", "arguments": arguments}
            try:
                async with session.post(f"{url}/tools/invoke", json=body) as reply:
                    await reply.read()
            except REFUSED:
                unanswered.add(key)
                break
            answered.add(key)
    return answered, unanswered


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1024, reason="needs 1024 open files")
async def test_sigterm_under_load_loses_no_call_and_no_audit_row(database: str) -> None:
    """With 200 open streams and writes coming in, every write that began is answered and has both rows."""
    async with (
        serving(DATABASE_URL=database, **LIMITS, **DRAIN) as served,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        streams = await _open_streams(session, served.url)
        callers = [asyncio.create_task(_call_until_refused(served.url, n)) for n in range(CALLERS)]
        await asyncio.sleep(1)
        assert await served.stop(bound=WITHIN) == 0
        for stream in streams:
            assert (await stream.read()).startswith(b"event: endpoint")
        results = await asyncio.gather(*callers)
    answered = {key for done, _ in results for key in done}
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT idempotency_key, kind FROM audit_logs WHERE tool = 'jira.create_issue'")
    await connection.close()
    assert len(answered) > CALLERS
    assert {row["idempotency_key"] for row in rows if row["kind"] == "intent"} == answered
    assert {row["idempotency_key"] for row in rows if row["kind"] == "outcome"} == answered


async def _talk(listener: Listener) -> None:
    """One call after the other, for as long as they are answered."""
    call = {"name": "jira.get_issue", "arguments": {"issue_key": "OPS-1"}}
    while await listener.ask("tools/call", call) is not None:
        pass


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1024, reason="needs 1024 open files")
async def test_sigterm_answers_every_call_that_a_stream_has_taken(database: str) -> None:
    """Of 200 streams fifty talk all the time: what got its 202 is answered before the stream ends, and has its row."""
    async with (
        serving(DATABASE_URL=database, **LIMITS, **DRAIN) as served,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):
        quiet = [listener(session, served.url) for _ in range(STREAMS - TALKERS)]
        silent = [await stack.enter_async_context(each) for each in quiet]
        talking = [await stack.enter_async_context(listener(session, served.url)) for _ in range(TALKERS)]
        talks = [asyncio.create_task(_talk(each)) for each in talking]
        await asyncio.sleep(1)
        assert await served.stop(bound=WITHIN) == 0
        await asyncio.gather(*talks)
        await asyncio.gather(*(each.ended.wait() for each in (*silent, *talking)))
    assert all(each.taken <= each.answered.keys() for each in talking)
    calls = sum(len(each.answered) - 1 for each in talking)
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT outcome FROM audit_logs WHERE tool = 'jira.get_issue'")
    await connection.close()
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len(rows) == calls > TALKERS


async def test_sigterm_answers_what_another_server_has_taken(database: str, valkey: str) -> None:
    """Streams are on the server that ends, their messages go to the one that stays: it refuses them before it is too late."""
    settings = {"DATABASE_URL": database, "REDIS_URL": valkey, "GATELODGE_SECRET_KEY": "s" * 40, **LIMITS, **DRAIN}
    async with (
        serving(**settings) as ending,
        serving(**settings) as staying,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):
        streams = [await stack.enter_async_context(listener(session, ending.url)) for _ in range(CALLERS)]
        for stream in streams:
            stream.url = staying.url
        talks = [asyncio.create_task(_talk(stream)) for stream in streams]
        await asyncio.sleep(1)
        assert await ending.stop(bound=WITHIN) == 0
        await asyncio.gather(*talks)
        await asyncio.gather(*(stream.ended.wait() for stream in streams))
    assert sum(len(stream.answered) for stream in streams) > 2 * CALLERS
    assert all(stream.taken <= stream.answered.keys() for stream in streams)


async def test_a_call_under_way_is_answered_before_its_server_ends(open_gatelodge: OpenGatelodge) -> None:
    """The listener is closed and readiness fails, and the call that runs still gets its answer."""
    plugin = SlowPlugin()
    gate = await open_gatelodge(("slow", plugin))
    call = asyncio.create_task(gate.call("slow.wait"))
    await plugin.begun.wait()
    gate.server.draining.begin()
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        assert reply.status == 503
        assert reply.headers["Connection"] == "close"
        assert (await reply.json())["status"] == "draining"
    plugin.released.set()
    assert await call == {"done": True}
