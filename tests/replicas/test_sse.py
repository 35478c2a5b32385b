"""HTTP+SSE of 2024-11-05: the stream on one replica, messages posted to the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from ..protocol.pipes import Client, SSEWire, call
from ..protocol.transcript import Transcript
from .conftest import ANN, BOB, Pair

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def opened(pair: Pair, **headers: str) -> AsyncIterator[tuple[Client, str]]:
    """A client whose stream is on the first replica, and the endpoint it was told, on the second; messages fit the schema."""
    transcript = Transcript()
    http = aiohttp.ClientSession(headers=ANN | headers)
    async with http, http.get(f"{pair.a.url}/sse") as stream:
        assert (await stream.content.readline()).strip() == b"event: endpoint"
        path = (await stream.content.readline()).decode().removeprefix("data: ").strip()
        await stream.content.readline()
        url = pair.b.url + path
        yield Client(SSEWire(http, url, stream), transcript.conversation()), url
    assert transcript.violations == []


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-11-25"])
async def test_messages_are_passed_on(pair: Pair, revision: str) -> None:
    """Lists, calls, progress, questions and notices come down the stream, whatever replica was spoken to."""
    async with opened(pair) as (client, _):
        await client.initialize(revision)
        assert any(tool["name"] == "greet" for tool in (await client.ask("tools/list", {}))["tools"])
        await client.ask("tools/call", call("test_tool_with_progress", {"progressToken": 1}))
        assert [message["params"]["progress"] for message in client.heard] == [0, 50, 100]
        asked = await client.ask("tools/call", call("test_input_required_result_sampling"))
        assert asked["content"][0]["text"] == "Paris"
        await client.ask("resources/subscribe", {"uri": "test://watched-resource"})
        other = await pair.speak("2025-11-25")
        await pair.to_b(other).call("test_update_resource")
        assert (await client.next())["method"] == "notifications/resources/updated"


async def test_a_request_is_cancelled_and_others_go_on(pair: Pair) -> None:
    """The cancelled one is never answered."""
    async with opened(pair) as (client, _):
        await client.initialize("2024-11-05")
        waits = await client.begin("tools/call", call("slow_compute", seconds=25))
        assert await client.ask("ping", {}) == {}
        await client.cancel(waits)
        assert await client.ask("ping", {}) == {}
        assert client.heard == []


async def test_what_is_no_message_is_refused_where_it_was_posted(pair: Pair) -> None:
    """And what only the other replica can refuse, down the stream."""
    async with opened(pair) as (client, url):
        await client.initialize("2024-11-05")
        assert await _status(pair, url, data=b"{") == 400
        waits = await client.begin("tools/call", call("slow_compute", seconds=25))
        assert await _status(pair, url, json={"jsonrpc": "2.0", "id": waits, "method": "ping"}) == 202
        refusal = await client.next()
        assert (refusal["id"], refusal["error"]["code"]) == (waits, -32600)


async def test_nobody_else_can_post_to_it(pair: Pair) -> None:
    """Another caller is told on both replicas that there is no such stream, as of one that never was."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with opened(pair) as (client, url):
        await client.initialize("2024-11-05")
        for address in (url, url.replace(pair.b.url, pair.a.url)):
            assert await _status(pair, address, json=ping, headers=BOB) == 404
        for id in ("", "x", "..", url.partition("=")[2][:-1], url.partition("=")[2].partition(".")[0] + ".x"):
            assert await _status(pair, f"{pair.b.url}/messages?session_id={id}", json=ping) == 404
        assert await client.ask("ping", {}) == {}
    async with asyncio.timeout(20):
        while await _status(pair, url, json=ping) != 404:  # noqa: ASYNC110 - the first replica has yet to see it gone
            await asyncio.sleep(0.05)


async def _status(pair: Pair, url: str, **options: Any) -> int:
    async with pair.http.post(url, **options) as reply:
        return reply.status
