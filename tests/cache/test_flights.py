"""Callers who ask the same at once: one of them asks the tool, and nobody gets what is not theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gatelodge import WRITE, Call, Result, ToolError
from gatelodge.caching.entry import Entry
from gatelodge.contract import SilentChannel
from gatelodge.middleware.cache import CachePlugin
from gatelodge.questions import Form

from ..policed import BOB, Post, a_tool, policed


class Slow:
    """A handler that waits to be released; `started` counts the calls that came so far."""

    def __init__(self) -> None:
        self.started = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, call: Call) -> Mapping[str, Any]:
        self.started += 1
        number = self.started
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return {"calls": number}


@pytest.fixture
async def post(place: Redis | None) -> AsyncIterator[Post]:
    """The cache as it is by default."""
    async with policed(CachePlugin(), {}, place) as post:
        yield post


async def begin(post: Post, slow: Slow, count: int) -> list[asyncio.Task[Result]]:
    """That many more calls, all of them under way."""
    tool, counts = a_tool(handler=slow), post.plugin.counts
    wanted = slow.started + counts["joined"] + count
    tasks = [asyncio.create_task(post.call(tool)) for _ in range(count)]
    async with asyncio.timeout(10):
        while slow.started + counts["joined"] < wanted:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.001)
    return tasks


async def test_one_flight_for_each_key(post: Post) -> None:
    """Fifty callers, one question; the next is answered from the cache."""
    slow = Slow()
    tasks = await begin(post, slow, 50)
    slow.release.set()
    results = await asyncio.gather(*tasks)
    assert (slow.started, [result.structured for result in results]) == (1, [{"calls": 1}] * 50)
    assert (await post.call(a_tool(handler=slow))).meta == {"gatelodge/cached": True}


async def test_other_callers_fly_alone(post: Post) -> None:
    """Another user's question is another flight."""
    slow = Slow()
    tool = a_tool(handler=slow)
    tasks = [asyncio.create_task(post.call(tool)), asyncio.create_task(post.call(tool, BOB))]
    async with asyncio.timeout(10):
        while slow.started < 2:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.001)
    slow.release.set()
    assert {(await task).structured["calls"] for task in tasks} == {1, 2}


async def test_an_error_is_shared_and_forgotten(post: Post) -> None:
    """All who waited get it; who comes later asks again."""
    slow = Slow()
    slow.error = ToolError("upstream_5xx", "Jira is down.")
    tasks = await begin(post, slow, 5)
    slow.release.set()
    assert [(await task).outcome for task in tasks] == ["upstream_5xx"] * 5
    slow.error = None
    assert (await post.call(a_tool(handler=slow))).structured == {"calls": 2}


async def test_who_leaves_takes_nobody_along(post: Post) -> None:
    """The one who asked is cancelled: the others ask for themselves. One who waits is cancelled: nobody notices."""
    slow = Slow()
    (asking,) = await begin(post, slow, 1)
    waiting, leaving = await begin(post, slow, 2)
    leaving.cancel()
    asking.cancel()
    await asyncio.gather(asking, leaving, return_exceptions=True)
    slow.release.set()
    assert (await waiting).structured == {"calls": 2}


async def test_a_crash_is_nobody_else_s(post: Post) -> None:
    """What is no stable error is not shared."""
    slow = Slow()
    slow.error = RuntimeError()
    tasks = await begin(post, slow, 3)
    slow.release.set()
    assert [(await task).outcome for task in tasks] == ["internal"] * 3
    assert slow.started == 3


async def test_who_waits_keeps_the_deadline_of_the_call(post: Post) -> None:
    """However long the one who asked may wait."""
    slow = Slow()
    (asking,) = await begin(post, slow, 1)
    assert (await post.call(a_tool(handler=slow), seconds=0.02)).outcome == "timeout"
    slow.release.set()
    assert (await asking).structured == {"calls": 1}


async def test_who_asks_after_a_write_is_not_answered_from_before_it(post: Post) -> None:
    """A flight that began before the write is not joined, and what it brings is not kept."""
    slow = Slow()
    (before,) = await begin(post, slow, 1)
    await post.call(a_tool("demo.write", annotations=WRITE))
    after = asyncio.create_task(post.call(a_tool(handler=slow)))
    async with asyncio.timeout(10):
        while slow.started < 2:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.001)
    slow.release.set()
    assert [(await task).structured["calls"] for task in (before, after)] == [1, 2]
    assert (await post.call(a_tool(handler=slow))).structured == {"calls": 2}


class Willing(SilentChannel):
    """A client whose user says the name they were given."""

    waits = True

    def __init__(self, name: str) -> None:
        self.name = name

    def can_ask(self, kind: Any) -> bool:
        return True

    async def ask(self, questions: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict.fromkeys(questions, self.name)


async def test_what_the_user_had_a_say_in_is_for_that_call_alone(post: Post) -> None:
    """It is not kept, and not given to who asked the same meanwhile."""

    async def ask(call: Call) -> Mapping[str, Any]:
        return {"name": await call.ask("name", Form("Who are you?", {}))}

    tool = a_tool(handler=ask)
    calls = (post.call(tool, channel=Willing(name)) for name in ("one", "two", "three"))
    assert [result.structured["name"] for result in await asyncio.gather(*calls)] == ["one", "two", "three"]
    assert (await post.call(tool, channel=Willing("four"))).structured == {"name": "four"}


async def test_what_depends_on_the_client_is_for_that_call_alone(post: Post) -> None:
    """A tool that only looks whether it can ask may answer each client differently."""

    async def look(call: Call) -> Mapping[str, Any]:
        return {"asks": call.can_ask(Form)}

    tool = a_tool(handler=look)
    assert (await post.call(tool, channel=Willing("one"))).structured == {"asks": True}
    assert (await post.call(tool)).structured == {"asks": False}


async def test_progress_still_reaches_the_client(post: Post) -> None:
    """The channel is the caller's own in all else."""
    told = []

    class Listening(SilentChannel):
        async def progress(self, progress: float, total: float | None, message: str | None) -> None:
            told.append(progress)

    async def work(call: Call) -> Mapping[str, Any]:
        await call.progress(1)
        return {}

    await post.call(a_tool(handler=work), channel=Listening())
    assert told == [1]


def entry(took: float, ttl: float) -> Entry:
    return Entry(msgspec.Raw(b"1"), [], {}, made=1000.0, took=took, ttl=ttl)


@given(took=st.floats(0, 100), ttl=st.floats(0.1, 1000), late=st.floats(0, 1000))
def test_an_entry_is_due_when_its_time_is_up(took: float, ttl: float, late: float) -> None:
    """At the latest."""
    assert entry(took, ttl).due(1000.0 + ttl + late + 0.001)


@given(ttl=st.floats(1, 1000))
def test_an_entry_that_cost_nothing_is_not_due_early(ttl: float) -> None:
    """There is no stampede to prevent."""
    assert not entry(0.0, ttl).due(1000.0 + ttl / 2)


def test_an_entry_that_was_dear_is_refreshed_early_by_few() -> None:
    """Near its end some of many callers ask again, far from it hardly anyone."""
    dear = entry(2.0, 100.0)
    near, far = (sum(dear.due(1000.0 + age) for _ in range(2000)) for age in (98.0, 50.0))
    assert 400 < near < 1100
    assert far == 0


async def test_while_one_refreshes_early_the_others_have_the_older_answer(post: Post) -> None:
    """An entry that is due, with its refresh under way, still serves."""
    source = {"calls": 0}
    release = asyncio.Event()

    async def handler(call: Call) -> Mapping[str, Any]:
        source["calls"] += 1
        if source["calls"] == 1:
            await asyncio.sleep(0.5)  # dear, for how long it serves: so it is often due early
        else:
            await release.wait()
        return dict(source)

    tool = a_tool(handler=handler, meta={"gatelodge/cache": 1.5})
    await post.call(tool)
    refreshing: set[asyncio.Task[Result]] = set()
    deadline = time.monotonic() + 10
    while source["calls"] < 2 and time.monotonic() < deadline:
        task = asyncio.create_task(post.call(tool))
        refreshing.add(task)
        await asyncio.sleep(0.002)
    assert (await post.call(tool)).structured == {"calls": 1}
    release.set()
    await asyncio.gather(*refreshing)
