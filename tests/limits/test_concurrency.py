"""How many calls run at once, and how large a result may be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gatelodge import READ, WRITE, Call, Image, Result, StartupError, Text
from gatelodge.middleware.concurrency import ConcurrencyPlugin

from ..policed import ALICE, BOB, STRANGER, Post, a_tool, policed


class Held:
    """A handler that waits to be released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, call: Call) -> Mapping[str, Any]:
        await self.release.wait()
        return {}


async def begin(post: Post, count: int, *args: Any) -> list[asyncio.Task[Result]]:
    """That many calls, each of them running or refused."""
    tasks = [asyncio.create_task(post.call(*args)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_a_tenant_has_so_many_calls_at_once() -> None:
    """Over it they are refused with a time to come again; another tenant's run; places are free again at the end."""
    async with policed(ConcurrencyPlugin(), {"GATELODGE_MAX_CALLS": "3"}) as post:
        held = Held()
        tool = a_tool(handler=held)
        running = await begin(post, 3, tool, ALICE)
        refused = (await post.call(tool, BOB)).error
        running += await begin(post, 1, tool, STRANGER)
        assert await post.plugin.check() == "4 running, 1 refused"
        held.release.set()
        assert {(await task).outcome for task in running} == {"ok"}
        assert (await post.call(tool)).outcome == "ok"
        assert not post.plugin.running
    assert refused is not None
    assert (refused.code, refused.status, refused.retry_after) == ("rate_limited", 429, 1.0)
    assert refused.details == {"policy": "tenant-concurrency", "limit": 3}


async def test_a_tool_may_have_fewer() -> None:
    """By name or pattern, in each tenant for itself."""
    variables = {"GATELODGE_MAX_CALLS_BY_TOOL": "demo.slow=2; demo.*=0"}
    async with policed(ConcurrencyPlugin(), variables) as post:
        held = Held()
        slow = a_tool("demo.slow", handler=held)
        running = await begin(post, 2, slow)
        refused = (await post.call(slow)).error
        running += await begin(post, 2, slow, STRANGER) + await begin(post, 9, a_tool("demo.other", handler=held))
        held.release.set()
        assert {(await task).outcome for task in running} == {"ok"}
    assert refused is not None
    assert refused.details == {"policy": "tool-concurrency", "limit": 2}


async def test_calls_that_fail_or_are_cancelled_give_their_place_back() -> None:
    """Whatever ends a call."""

    async def fail(call: Call) -> None:
        raise RuntimeError

    async with policed(ConcurrencyPlugin(), {"GATELODGE_MAX_CALLS": "1"}) as post:
        (task,) = await begin(post, 1, a_tool(handler=Held()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [(await post.call(a_tool(handler=fail))).outcome for _ in range(2)] == ["internal", "internal"]
        assert not post.plugin.running


async def test_the_limit_changes_while_the_server_runs() -> None:
    """0 is any number."""
    async with policed(ConcurrencyPlugin(), {"GATELODGE_MAX_CALLS": "1"}) as post:
        held = Held()
        tool = a_tool(handler=held)
        running = await begin(post, 1, tool)
        assert (await post.call(tool)).outcome == "rate_limited"
        post.set("max_calls", 0)
        running += await begin(post, 100, tool)
        held.release.set()
        assert {(await task).outcome for task in running} == {"ok"}


@pytest.mark.parametrize(
    "result",
    [
        Result(structured={"text": "x" * 3000}),
        Result(content=(Text("x" * 3000),)),
        Result(content=(Image(b"x" * 1500, "image/png"), Image(b"x" * 1500, "image/png"))),
    ],
    ids=["structured", "text", "images"],
)
async def test_a_result_that_is_too_large_is_a_clear_error(result: Result) -> None:
    """With both sizes; but what a write answers is never withheld, for it has happened."""

    async def answer(call: Call) -> Result:
        return result

    async with policed(ConcurrencyPlugin(), {"GATELODGE_MAX_RESULT": "2048"}) as post:
        error = (await post.call(a_tool(handler=answer, annotations=READ))).error
        assert await post.call(a_tool(handler=answer, annotations=WRITE)) == result
    assert error is not None
    assert error.code == "validation_error"
    assert error.details["limit"] == 2048
    assert error.details["size"] > 3000


@pytest.mark.parametrize(
    ("name", "value"),
    [("GATELODGE_MAX_CALLS", "-1"), ("GATELODGE_MAX_CALLS_BY_TOOL", "a=b"), ("GATELODGE_MAX_RESULT", "1")],
)
async def test_a_setting_that_does_not_fit_stops_the_start(name: str, value: str) -> None:
    """With its name in one line."""
    with pytest.raises(StartupError, match=name):
        async with policed(ConcurrencyPlugin(), {name: value}):
            pass
