"""What every store of shared state does: run against a real Valkey and against this process."""

from __future__ import annotations

import asyncio

import pytest

from gatelodge.replicas.memory import MemoryShared
from gatelodge.replicas.shared import START, Post, Shared, is_position, order


async def put(shared: Shared, box: str, *texts: bytes, most: int = 10, ttl: float = 60.0) -> None:
    await shared.post(box, *texts, most=most, ttl=ttl)


def texts(posts: list[Post]) -> list[bytes]:
    return [post.data for post in posts]


async def gone(shared: Shared, key: str) -> None:
    async with asyncio.timeout(20):
        while await shared.get(key) != [None]:  # noqa: ASYNC110 - what expires gives no sign
            await asyncio.sleep(0.01)


async def test_values_are_kept_until_they_expire(shared: Shared) -> None:
    """Each for its own time, which a touch begins anew; an empty value is one."""
    await shared.put("short", b"1", ttl=0.05)
    await shared.put("long", b"", ttl=60)
    await shared.put("touched", b"3", ttl=0.5)
    assert await shared.get("long", "nothing") == [b"", None]
    assert await shared.touch(["touched", "nothing"], ttl=60) == [b"3", None]
    assert await shared.touch([], ttl=60) == []
    await gone(shared, "short")
    await asyncio.sleep(0.5)
    assert await shared.get("long", "touched") == [b"", b"3"]
    await shared.drop("long")
    await shared.drop("nothing")
    assert await shared.get("long") == [None]


async def test_of_two_who_swap_one_succeeds(shared: Shared) -> None:
    """Whoever saw an older value has to look again."""
    await shared.put("key", b"old", ttl=60)
    done = await asyncio.gather(*(shared.swap("key", b"old", b"new %d" % n, ttl=60) for n in range(5)))
    assert sum(done) == 1
    assert not await shared.swap("nothing", b"", b"new", ttl=60)
    assert await shared.swap("key", b"new %d" % done.index(True), b"last", ttl=0.01)
    await gone(shared, "key")


async def test_a_box_is_read_in_order_and_from_anywhere(shared: Shared) -> None:
    """Positions grow, whichever box a message is in; what is after one is all that came later."""
    await put(shared, "box", b"1", b"2")
    await put(shared, "other", b"3")
    await put(shared, "box", b"4")
    posts = await shared.since("box", START)
    assert texts(posts) == [b"1", b"2", b"4"]
    assert sorted(posts, key=lambda post: order(post.position)) == posts
    assert all(is_position(post.position) for post in posts)
    assert texts(await shared.since("box", posts[1].position)) == [b"4"]
    assert await shared.last("box") == posts[-1].position
    read = await shared.read({"box": posts[0].position, "other": START})
    assert sorted((post.box, post.data) for post in read) == [("box", b"2"), ("box", b"4"), ("other", b"3")]


async def test_a_box_that_is_not_there_is_empty(shared: Shared) -> None:
    """Reading it waits a little, and finds nothing."""
    assert await shared.last("box") == START
    assert await shared.since("box", START) == []
    assert await shared.read({"box": START}) == []
    await shared.trim("box", START)


async def test_a_reader_waits_for_the_next_message(shared: Shared) -> None:
    """It hears of it at once."""
    reading = asyncio.create_task(shared.read({"box": START}))
    await asyncio.sleep(0.05)
    await put(shared, "box", b"news")
    assert texts(await reading) == [b"news"]


async def test_a_box_is_bounded_and_expires(shared: Shared) -> None:
    """The oldest messages go first; trimmed ones are gone, and all of them after a while without another."""
    await put(shared, "box", *(b"%d" % n for n in range(20)), most=5)
    posts = await shared.since("box", START)
    assert texts(posts) == [b"15", b"16", b"17", b"18", b"19"]
    await shared.trim("box", posts[2].position)
    assert texts(await shared.since("box", START)) == [b"18", b"19"]
    await put(shared, "box", b"20", most=5, ttl=0.05)
    async with asyncio.timeout(20):
        while await shared.since("box", START):  # noqa: ASYNC110 - what expires gives no sign
            await asyncio.sleep(0.01)


async def test_memory_is_bounded() -> None:
    """What was put longest ago goes first, boxes and values alike."""
    shared = MemoryShared(limit=3)
    for number in range(5):
        await shared.put(f"key {number}", b"", ttl=60)
        await put(shared, f"box {number}", b"1")
    assert await shared.get("key 1", "key 2", "key 4") == [None, b"", b""]
    assert [len(await shared.since(f"box {number}", START)) for number in (1, 2, 4)] == [0, 1, 1]


@pytest.mark.parametrize("text", ["", "-", "1", "1-", "-1", "1-2-3", "1-x", "+", "$", "٣-1", "9" * 16 + "-1", "1-1\n"])
def test_what_a_client_may_not_pass_for_a_position(text: str) -> None:
    """It comes from a header."""
    assert not is_position(text)
