"""Sessions over Streamable HTTP: their streams, resumption, notices, cancelling, and their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import Speak
from .schema import SESSIONS, check_request
from .speaker import Event, Message, Speaker, events
from .waiting import WaitingPlugin

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = pytest.mark.parametrize("revision", SESSIONS)


async def first(reply: Any, count: int) -> list[Event]:
    """So many events with a message."""
    found: list[Event] = []
    async for event in events(reply):
        if event.message is not None:
            found.append(event)
        if len(found) == count:
            return found
    return found


async def all_events(reply: Any) -> list[Event]:
    return [event async for event in events(reply)]


@ALL
async def test_notices_come_down_the_stream_of_a_get(speak: Speak, revision: str) -> None:
    """List changes reach every session; an update of a resource those that subscribed to it."""
    client = await speak(revision)
    watched = {"uri": "test://watched-resource"}
    await client.call("test_update_resource")
    assert (await client.ask("resources/subscribe", watched)).result == {}
    async with client.get() as stream:
        for tool in ("test_trigger_tool_change", "test_trigger_prompt_change", "test_update_resource"):
            await client.call(tool)
        told = [event.message for event in await first(stream, 3)]
    for message in told:
        check_request(revision, message or {}, by_server=True)
    assert [message["method"] for message in told if message] == [
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    ]
    await client.ask("resources/unsubscribe", watched)
    await client.call("test_update_resource")
    await client.call("test_trigger_tool_change")
    async with client.get() as stream:
        (event,) = await first(stream, 1)
    assert event.message is not None
    assert event.message["method"] == "notifications/tools/list_changed"


async def test_subscribing_to_what_is_not_there(speak: Speak) -> None:
    """It is refused like reading it."""
    answer = await (await speak("2025-11-25")).ask("resources/subscribe", {"uri": "test://nothing"})
    assert answer.error["code"] == -32002


async def test_a_lost_stream_goes_on_where_it_broke(speak: Speak) -> None:
    """The call runs on without its connection; Last-Event-ID brings what came after that event, and the response."""
    client = await speak("2025-11-25")
    request = client.message(
        "tools/call", {"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": 1}}
    )
    async with client.post(request) as stream:
        (seen,) = await first(stream, 1)
        stream.close()
    async with client.get(seen.id) as stream:
        rest = [event.message for event in await all_events(stream) if event.message]
    assert [message["params"]["progress"] for message in rest[:-1]] == [50, 100]
    assert rest[-1]["id"] == request["id"]
    async with client.get(seen.id) as stream:
        again = [event.message for event in await all_events(stream) if event.message]
    assert again == rest


async def test_a_call_that_hangs_up_is_polled(speak: Speak) -> None:
    """The stream begins with an empty event that has an id, tells when to come back, and ends; GET has the result."""
    client = await speak("2025-11-25")
    request = client.message("tools/call", {"name": "test_reconnection", "arguments": {}})
    async with client.post(request) as stream:
        (primer,) = await all_events(stream)
    assert (primer.message, primer.retry) == (None, 100)
    async with client.get(primer.id) as stream:
        *_, last = await all_events(stream)
    assert last.message is not None
    assert last.message["result"]["content"][0]["text"].startswith("Reconnection test completed")


async def test_hanging_up_is_nothing_to_older_revisions(speak: Speak) -> None:
    """They get their answer over the connection they have."""
    answer = await (await speak("2025-06-18")).call("test_reconnection")
    assert answer.result["content"][0]["text"].startswith("Reconnection test completed")


async def test_a_second_get_takes_the_stream_over(speak: Speak) -> None:
    """A message is never sent on two streams."""
    client = await speak("2025-11-25")
    async with client.get() as old, client.get() as new:
        assert [event.message for event in await all_events(old)] == [None]
        await client.call("test_trigger_tool_change")
        assert len(await first(new, 1)) == 1


async def test_cancelling(speak: Speak, waiting: WaitingPlugin) -> None:
    """A cancelled request gets no response, and its id is free again."""
    client = await speak("2025-11-25")
    request = client.message("tools/call", {"name": "waiting.wait", "arguments": {}})
    call = asyncio.create_task(_status(client, request))
    await waiting.began.wait()
    await client.notify("notifications/cancelled", {"requestId": request["id"]})
    await waiting.cancelled.wait()
    assert await call == 202
    again = client.message("tools/call", {"name": "greet", "arguments": {"name": "Ada"}}, id=request["id"])
    async with client.post(again) as reply:
        assert (await client.read(reply, again)).result["content"][0]["text"] == "Hello, Ada!"


async def _status(client: Speaker, request: Message) -> int:
    async with client.post(request) as reply:
        return int(reply.status)


async def test_an_id_in_use_is_refused(speak: Speak, waiting: WaitingPlugin) -> None:
    """Two requests of one id cannot run at once."""
    client = await speak("2025-11-25")
    request = client.message("tools/call", {"name": "waiting.wait", "arguments": {}})
    call = asyncio.create_task(_status(client, request))
    await waiting.began.wait()
    assert await _status(client, client.message("ping", {}, id=request["id"])) == 400
    await client.notify("notifications/cancelled", {"requestId": request["id"]})
    await call


@ALL
async def test_a_session_ends_with_delete(speak: Speak, revision: str) -> None:
    """From then on it is 404, which tells the client to begin anew; an open stream ends."""
    client = await speak(revision)
    async with client.get() as stream:
        async with client.http.delete(client.url, headers=client.headers({})) as reply:
            assert reply.status == 204
        await all_events(stream)
    async with client.post(client.message("ping", {})) as reply:
        assert reply.status == 404


async def test_the_rules_of_the_endpoint(speak: Speak) -> None:
    """What is missing or wrong in a header has a status of its own."""
    client = await speak("2025-11-25")
    url, headers = client.url, client.headers({})
    async with client.http.get(url, headers=headers | {"Accept": "application/json"}) as reply:
        assert reply.status == 406
    async with client.http.get(url, headers={"Accept": "text/event-stream"}) as reply:
        assert reply.status == 400
    async with client.http.get(url, headers={"MCP-Protocol-Version": "2026-07-28"}) as reply:
        assert reply.status == 405
    async with client.post(client.message("ping", {}), MCP_Protocol_Version="2025-06-18") as reply:
        assert reply.status == 400
    async with client.post(client.message("ping", {}), MCP_Protocol_Version="1999-01-01") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (400, -32022)
    async with client.post(client.message("ping", {}), Mcp_Session_Id="nobodys") as reply:
        assert reply.status == 404


async def test_batches_belong_to_one_revision(speak: Speak) -> None:
    """2025-03-26 answers a batch by a batch; the others refuse it."""
    client = await speak("2025-03-26")
    batch = [
        client.message("ping", {}),
        client.message("tools/list", {}),
        {"jsonrpc": "2.0", "id": 99, "method": "nothing/here"},
    ]
    async with client.post(batch) as reply:
        answers = {answer["id"]: answer for answer in await reply.json()}
    assert answers[batch[0]["id"]]["result"] == {}
    assert answers[batch[2]["id"]]["error"]["code"] == -32601
    newer = await speak("2025-06-18")
    async with newer.post([newer.message("ping", {})]) as reply:
        assert reply.status == 400
