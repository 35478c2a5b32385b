"""Messages to operators, over real HTTP: signed, in order, once, and none lost while a receiver is away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge import StartupError
from gatelodge.settings import Environment
from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge
from gatelodge.webhooks.courier import LONGEST_PAUSE, Courier, pause_after
from gatelodge.webhooks.message import Message
from gatelodge.webhooks.outbox import CAPACITY, MemoryOutbox, Outbox, TableOutbox, forget_old, write
from gatelodge.webhooks.poster import Poster
from gatelodge.webhooks.settings import WebhookSettings

from ..operations.processes import command
from .receiver import SECRET, Receiver


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(database)
    yield pool
    await pool.close()


@pytest.fixture(params=["table", "memory"])
def outbox(request: pytest.FixtureRequest, pool: asyncpg.Pool) -> Outbox:
    return TableOutbox(pool) if request.param == "table" else MemoryOutbox()


def note(number: int, **more: Any) -> Message:
    return Message(type="test.note", text=f"Note {number}.", data={"number": number}, **more)


async def add(outbox: Outbox, pool: asyncpg.Pool, *messages: Message) -> None:
    for message in messages:
        if isinstance(outbox, MemoryOutbox):
            outbox.add(message)
        else:
            async with pool.acquire() as connection:
                await write(connection, message)
    outbox.news.set()


@asynccontextmanager
async def delivering(outbox: Outbox, receiver: Receiver, timeout: float = 10) -> AsyncIterator[Counter[str]]:
    counts: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:
        poster = Poster(session, receiver.url, SECRET, timeout=timeout)
        async with Courier(outbox, poster, counts).running():
            yield counts


async def numbers(gate: Gatelodge) -> dict[str, Any]:
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        return {check["name"]: check for check in (await reply.json())["checks"]}


async def test_a_message_is_signed_and_reads_as_text_too(
    outbox: Outbox, pool: asyncpg.Pool, receiver: Receiver
) -> None:
    """The official library verifies it; a chat service finds `text`."""
    message = note(1)
    await add(outbox, pool, message)
    async with delivering(outbox, receiver):
        await receiver.until(lambda r: r.taken)
    (taken,) = receiver.taken
    assert (taken["type"], taken["data"], taken["text"]) == ("test.note", {"number": 1}, "Note 1.")
    assert datetime.fromisoformat(taken["timestamp"]) == message.at
    assert taken["id"] == message.id


async def test_a_receiver_that_comes_back_hears_all_in_order(
    outbox: Outbox, pool: asyncpg.Pool, receiver: Receiver
) -> None:
    """While it refuses, only the oldest message is tried, each time under the same id; then they come one by one."""
    receiver.mode = "refuse"
    await add(outbox, pool, note(1), note(2), note(3))
    async with delivering(outbox, receiver) as counts:
        await receiver.until(lambda r: len(r.tries) >= 2)
        assert len(set(receiver.tries)) == 1
        assert (await outbox.backlog()).error == "the receiver answered 503"
        receiver.mode = "take"
        await receiver.until(lambda r: len(r.taken) == 3)
    assert [taken["data"]["number"] for taken in receiver.taken] == [1, 2, 3]
    assert counts["failed"] >= 2
    backlog = await outbox.backlog()
    assert (backlog.count, backlog.error) == (0, None)


async def test_nobody_there_at_first(outbox: Outbox, pool: asyncpg.Pool) -> None:
    """A port where nothing listens is a failure like any other."""
    receiver = Receiver()
    async with receiver.listening():
        pass
    await add(outbox, pool, note(1))
    async with delivering(outbox, receiver) as counts:
        async with asyncio.timeout(30):
            while not counts["failed"]:  # noqa: ASYNC110, a refused connection tells nobody
                await asyncio.sleep(0.02)
        assert "ClientConnectorError" in str((await outbox.backlog()).error)
        async with receiver.listening():
            await receiver.until(lambda r: r.taken)


async def test_a_slow_receiver_costs_a_try(outbox: Outbox, pool: asyncpg.Pool, receiver: Receiver) -> None:
    """An answer that does not come in time is a failure, and the message is tried again."""
    receiver.mode = "hold"
    await add(outbox, pool, note(1))
    async with delivering(outbox, receiver, timeout=0.2):
        await receiver.until(lambda r: len(r.tries) >= 2)
        assert "did not answer" in str((await outbox.backlog()).error)


async def test_several_servers_deliver_once(pool: asyncpg.Pool, receiver: Receiver) -> None:
    """Each message is one server's at a time, and the order holds over all of them."""
    async with AsyncExitStack() as stack:
        outboxes = [TableOutbox(pool) for _ in range(4)]
        for outbox in outboxes:
            await stack.enter_async_context(delivering(outbox, receiver))
        for number in range(20):
            await add(outboxes[number % 4], pool, note(number))
            for outbox in outboxes:
                outbox.news.set()
        await receiver.until(lambda r: len(r.taken) >= 20)
    assert [taken["data"]["number"] for taken in receiver.taken] == list(range(20))
    assert len(receiver.tries) == 20


async def test_what_a_dead_server_had_claimed_is_delivered(pool: asyncpg.Pool, receiver: Receiver) -> None:
    """Once its lease is over."""
    outbox = TableOutbox(pool)
    await add(outbox, pool, note(1))
    assert (await outbox.claim()) is not None
    assert (await outbox.claim()) is None
    await pool.execute("UPDATE webhook_messages SET due_at = now()")
    async with delivering(outbox, receiver):
        await receiver.until(lambda r: r.taken)
    assert await pool.fetchval("SELECT attempts FROM webhook_messages") == 2


async def test_old_news_is_not_delivered(pool: asyncpg.Pool, receiver: Receiver) -> None:
    """After a day a message is given up, which its row tells; after a week it is gone."""
    yesterday = datetime.now(UTC) - timedelta(days=1, minutes=1)
    outbox = TableOutbox(pool)
    await add(outbox, pool, note(1, at=yesterday), note(2))
    async with delivering(outbox, receiver):
        await receiver.until(lambda r: r.taken)
    assert [taken["data"]["number"] for taken in receiver.taken] == [2]
    outcomes = await pool.fetch("SELECT outcome FROM webhook_messages ORDER BY seq")
    assert [row["outcome"] for row in outcomes] == ["expired", "delivered"]
    await pool.execute("UPDATE webhook_messages SET created_at = created_at - interval '7 days'")
    async with pool.acquire() as connection:
        assert await forget_old(connection) == 2


async def test_memory_is_bounded() -> None:
    """The oldest messages make room, and are counted."""
    outbox = MemoryOutbox()
    for number in range(CAPACITY + 5):
        outbox.add(note(number))
    first = await outbox.claim()
    assert first is not None
    assert (first.data["number"], outbox.dropped, (await outbox.backlog()).count) == (5, 5, CAPACITY)


@given(attempts=st.integers(1, 10_000))
def test_pauses_grow_up_to_a_minute(attempts: int) -> None:
    """Never so long that a receiver which is back waits for more, never so short that a dead one is a burden."""
    assert 0.75 * min(2 ** min(attempts - 1, 6), LONGEST_PAUSE) <= pause_after(attempts) <= LONGEST_PAUSE


def test_secrets_do_not_leave() -> None:
    """Whoever wrote a message, what looks like a secret is not in its body."""
    canary = "glk_0123456789abcdef_0123456789abcdef"
    message = Message(
        type="test.note", text=f"token={canary}", data={"password": "hunter2", "note": f"Bearer {canary}"}
    )
    body = message.body()
    assert canary.encode() not in body
    assert b"hunter2" not in body


@pytest.mark.parametrize(
    "settings",
    [
        {"GATELODGE_WEBHOOK_SECRET": "whsec_dGlueQ=="},
        {"GATELODGE_WEBHOOK_SECRET": SECRET.removeprefix("whsec_")},
        {"GATELODGE_WEBHOOK_SECRET": "whsec_???"},
        {"GATELODGE_WEBHOOK_URL": "file:///etc/passwd"},
        {"GATELODGE_WEBHOOK_URL": "hooks.example.com"},
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, str]) -> None:
    """By name; what was given is not shown."""
    with pytest.raises(StartupError) as caught:
        Environment(settings).read(WebhookSettings)
    ((name, value),) = settings.items()
    assert name in str(caught.value)
    assert value not in str(caught.value)


async def test_a_dead_receiver_shows_and_stops_nothing(
    open_gatelodge: OpenGatelodge, receiver: Receiver, pool: asyncpg.Pool, database: str
) -> None:
    """Health tells of it without making the server unready, metrics count the tries, calls are answered."""
    receiver.mode = "refuse"
    gate = await open_gatelodge(**receiver.settings)
    async with pool.acquire() as connection:
        await write(connection, note(1))
    await receiver.until(lambda r: len(r.tries) >= 2)
    async with asyncio.timeout(30):
        while (await numbers(gate))["webhooks"]["status"] != "failed":  # noqa: ASYNC110, it is asked over HTTP
            await asyncio.sleep(0.05)
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        assert reply.status == 200
        assert "secret-path" not in await reply.text()
    await gate.call("sql.get_project_metrics", project_key="GATE", days=7)
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        assert 'gatelodge_webhook_tries_total{outcome="failed"}' in await reply.text()
    status, out, _ = await command("webhooks", "list", DATABASE_URL=database)
    assert status == 0
    assert "Note 1.  tried " in out
    receiver.mode = "take"
    await receiver.until(lambda r: r.taken)


async def test_the_receiver_can_be_tried(receiver: Receiver) -> None:
    """From the command line, with nothing but the settings; a failure says why, and shows no URL."""
    status, out, _ = await command("webhooks", "test", **receiver.settings)
    assert (status, out) == (0, "taken\n")
    assert receiver.types == ["webhook.test"]
    wrong = receiver.settings | {"GATELODGE_WEBHOOK_SECRET": "whsec_" + "A" * 40}
    status, _, complaint = await command("webhooks", "test", **wrong)
    assert (status, complaint) == (1, "Error: the receiver answered 401\n")
    status, _, complaint = await command("webhooks", "test")
    assert (status, complaint) == (1, "Error: GATELODGE_WEBHOOK_URL is not set\n")


async def test_without_a_secret_nothing_is_signed() -> None:
    """As a chat service's hook wants it."""
    async with Receiver(secret=None).listening() as receiver:
        status, out, _ = await command("webhooks", "test", GATELODGE_WEBHOOK_URL=receiver.url)
    assert (status, receiver.taken[0]["text"]) == (0, "Gatelodge can reach you.")
    assert "not signed" in out
