"""Which answers serve again, for whom and for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from gatelodge import OVERWRITE, READ, WRITE, Call, Image, Result, StartupError, Text, ToolError
from gatelodge.dispatch import CompiledTool
from gatelodge.middleware.cache import CachePlugin

from ..policed import ALICE, BOB, STRANGER, Post, a_tool, policed


class Source:
    """A tool's handler that counts: each answer has the number of the call. `give` makes another answer of it."""

    def __init__(self, give: Any = None) -> None:
        self.calls = 0
        self.give = give

    async def __call__(self, call: Call) -> Any:
        self.calls += 1
        await asyncio.sleep(0)
        return {"calls": self.calls} if self.give is None else self.give(self.calls)


def source_tool(source: Source, name: str = "demo.read", **more: Any) -> CompiledTool:
    return a_tool(name, handler=source, **more)


@pytest.fixture
async def post(place: Redis | None) -> AsyncIterator[Post]:
    """The cache as it is by default."""
    async with policed(CachePlugin(), {}, place) as post:
        yield post


async def test_the_same_call_is_answered_from_the_cache(post: Post) -> None:
    """The tool is asked once; the second answer says that it was kept, and for how long."""
    tool = source_tool(Source())
    first, second = await post.call(tool, n=1), await post.call(tool, n=1)
    assert (first.structured, first.meta) == ({"calls": 1}, {})
    assert (second.structured, second.meta) == ({"calls": 1}, {"gatelodge/cached": True})
    assert second.headers["Age"].isdigit()
    assert post.plugin.counts == {"misses": 1, "hits": 1}


async def test_other_arguments_and_other_tools_are_other_entries(post: Post) -> None:
    """Each is asked for itself."""
    source = Source()
    for tool in (source_tool(source), source_tool(source, "demo.other")):
        for arguments in ({}, {"n": 1}, {"n": 2}, {"instance_id": "1"}):
            await post.call(tool, **arguments)
    assert source.calls == 8


@pytest.mark.parametrize(
    "other",
    [
        BOB,
        STRANGER,
        replace(ALICE, tenant=UUID(int=9)),
        replace(ALICE, scopes=frozenset({"demo:read"})),
        replace(ALICE, tools=("demo.*",)),
        replace(ALICE, resources=("demo:*",)),
    ],
)
async def test_callers_with_other_rights_never_share(post: Post, other: Any) -> None:
    """Another tenant, user, scope or allow-list is answered by the tool itself."""
    source = Source()
    tool = source_tool(source)
    await post.call(tool, ALICE)
    assert (await post.call(tool, other)).structured == {"calls": 2}
    assert (await post.call(tool, ALICE)).structured == {"calls": 1}


async def test_another_key_of_the_same_user_shares(post: Post) -> None:
    """What counts is what the caller may see, not how they signed in."""
    tool = source_tool(Source())
    await post.call(tool, ALICE)
    assert (await post.call(tool, replace(ALICE, key_id="k2", address="192.0.2.9"))).structured == {"calls": 1}


@pytest.mark.parametrize("annotations", [WRITE, OVERWRITE])
async def test_a_write_makes_its_plugin_s_answers_stale(post: Post, annotations: Any) -> None:
    """For its own tenant only; other plugins' answers stay."""
    source = Source()
    read, other = source_tool(source), source_tool(source, "other.read")
    write = source_tool(Source(), "demo.write", annotations=annotations)
    for tool, who in ((read, ALICE), (other, ALICE), (read, STRANGER)):
        await post.call(tool, who)
    assert [(await post.call(write)).structured for _ in range(2)] == [{"calls": 1}, {"calls": 2}]
    again = [(await post.call(tool, who)).structured for tool, who in ((read, ALICE), (other, ALICE), (read, STRANGER))]
    assert again == [{"calls": 4}, {"calls": 2}, {"calls": 3}]


async def test_a_write_that_failed_may_have_happened(post: Post) -> None:
    """So it makes stale like any other."""

    def fail(calls: int) -> None:
        raise ToolError("timeout", "Nobody knows.")

    tool = source_tool(Source())
    await post.call(tool)
    assert (await post.call(source_tool(Source(fail), "demo.write", annotations=WRITE))).outcome == "timeout"
    assert (await post.call(tool)).structured == {"calls": 2}


def refuse(calls: int) -> None:
    raise ToolError("upstream_5xx", "Jira is down.")


@pytest.mark.parametrize(
    "give",
    [
        refuse,
        lambda calls: Result(error=ToolError("not_found", "No such issue.")),
        lambda calls: {"rows": [1], "truncated": True},
        lambda calls: {"text": "x" * 70_000},
        lambda calls: {"note": "use Bearer abcdefgh12345678"},
        lambda calls: {"password": "canary-77"},
        lambda calls: {"key": "glk_0123456789abcdef"},
        lambda calls: {"line": json.dumps({"a": json.dumps({"token": "canary-80"})})},
        lambda calls: Result(content=(Text('{"api_key": "canary-78"}'),)),
        lambda calls: {"rows": [{"name": "a", "private_key": "canary-79"}]},
    ],
    ids=["raised", "error", "truncated", "too large", "bearer", "password", "key", "json in json", "text", "field"],
)
async def test_what_may_not_be_kept_is_asked_for_each_time(place: Redis | None, give: Any) -> None:
    """Errors, truncated and large results, and whatever looks like a secret, which no store ever sees."""
    async with policed(CachePlugin(), {}, place) as post:
        source = Source(give)
        results = [await post.call(source_tool(source)) for _ in range(2)]
        if place is not None:
            stored = [await place.get(key) for key in await place.keys("*")]
            assert not any(b"canary" in value or b"glk_" in value for value in stored)
    assert source.calls == 2
    assert results[0].outcome == results[1].outcome


async def test_every_kind_of_content_comes_back_as_it_was(post: Post) -> None:
    """Blocks as they were, numbers and dates as a client would have read them."""
    give = Result(
        structured={"amount": Decimal("1.50"), "list": [None, 1.5, "ü"]},
        content=(Text("hello"), Image(b"\x00\xff", "image/png")),
        meta={"demo/a": 1},
    )
    tool = source_tool(Source(lambda calls: give))
    await post.call(tool)
    again = await post.call(tool)
    assert again.structured == {"amount": "1.50", "list": [None, 1.5, "ü"]}
    assert again.content == give.content
    assert again.meta == {"demo/a": 1, "gatelodge/cached": True}


async def test_a_secret_that_is_not_there_keeps_nothing_out(post: Post) -> None:
    """A member named like one may be empty, or say that there is one."""
    tool = source_tool(Source(lambda calls: {"password": None, "has_token": True, "tokens_used": 3, "calls": calls}))
    assert [(await post.call(tool)).structured["calls"] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("variables", "mark", "asked"),
    [
        ({}, {}, 1),
        ({}, {"gatelodge/cache": 60}, 1),
        ({}, {"gatelodge/cache": False}, 2),
        ({}, {"gatelodge/cache": 0}, 2),
        ({"GATELODGE_CACHE": "false"}, {"gatelodge/cache": 60}, 2),
        ({"GATELODGE_CACHE_TTL": "0"}, {}, 2),
        ({"GATELODGE_CACHE_TTL": "0"}, {"gatelodge/cache": 60}, 1),
        ({"GATELODGE_CACHE_TTLS": "demo.*=0"}, {"gatelodge/cache": 60}, 2),
        ({"GATELODGE_CACHE_TTL": "0", "GATELODGE_CACHE_TTLS": "demo.read=9.5; demo.*=0"}, {}, 1),
        ({"GATELODGE_CACHE_MAX_ENTRY": "10"}, {}, 2),
    ],
)
async def test_operator_and_tool_say_for_how_long(
    variables: Mapping[str, str], mark: Mapping[str, Any], asked: int
) -> None:
    """The setting for the tool counts first, then what the tool says of itself, then the default."""
    async with policed(CachePlugin(), variables) as post:
        source = Source()
        for _ in range(2):
            await post.call(source_tool(source, meta=mark))
    assert source.calls == asked


async def test_it_is_switched_and_timed_while_the_server_runs(post: Post) -> None:
    """Off, nothing is served from it; what was written meanwhile is stale when it is on again."""
    tool = source_tool(Source())
    await post.call(tool)
    post.set("cache_enabled", False)
    assert (await post.call(tool)).structured == {"calls": 2}
    await post.call(source_tool(Source(), "demo.write", annotations=WRITE))
    post.set("cache_enabled", True)
    assert (await post.call(tool)).structured == {"calls": 3}
    assert (await post.call(tool)).structured == {"calls": 3}
    post.set("cache_ttl", 0)
    assert (await post.call(tool)).structured == {"calls": 4}


async def test_a_caller_may_ask_afresh(post: Post) -> None:
    """`_meta` with `gatelodge/cache: false` reaches the tool."""
    tool = source_tool(Source())
    await post.call(tool)
    assert (await post.call(tool, meta={"gatelodge/cache": False})).structured == {"calls": 2}


async def test_redis_learns_no_names_and_no_arguments(valkey: str) -> None:
    """Keys are hashes; a tenant's share one hash tag; every one goes by itself."""
    async with Redis.from_url(valkey) as client, policed(CachePlugin(), {}, client) as post:
        await post.call(source_tool(Source()), instance_id="canary-argument")
        keys = [key.decode() async for key in client.scan_iter()]
        assert len(keys) == 2
        assert not any(word in key for key in keys for word in ("canary", "alice", str(ALICE.tenant)))
        assert len({key[: key.index("}")] for key in keys}) == 1
        assert min([await client.ttl(key) for key in keys]) > 0


async def test_what_another_version_has_kept_is_not_read(valkey: str) -> None:
    """Bytes that are no entry are a miss."""
    async with Redis.from_url(valkey) as client, policed(CachePlugin(), {}, client) as post:
        tool = source_tool(Source())
        await post.call(tool)
        (key,) = [key async for key in client.scan_iter() if not key.endswith(b"generation")]
        await client.set(key, (await client.get(key))[:16] + b'["something", "else"]')
        assert (await post.call(tool)).structured == {"calls": 2}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATELODGE_CACHE_TTL", "-1"),
        ("GATELODGE_CACHE_TTL", "90000"),
        ("GATELODGE_CACHE_TTLS", "demo.read"),
        ("GATELODGE_CACHE_TTLS", "demo.read=long"),
        ("GATELODGE_CACHE_TTLS", "demo.read=nan"),
        ("GATELODGE_CACHE_MAX_BYTES", "all"),
    ],
)
async def test_a_setting_that_does_not_fit_stops_the_start(name: str, value: str) -> None:
    """With its name in one line."""
    with pytest.raises(StartupError, match=name):
        async with policed(CachePlugin(), {name: value}):
            pass


async def test_a_read_only_tool_s_annotations_are_what_counts(post: Post) -> None:
    """Only what changes nothing is kept."""
    source = Source()
    for hints in (READ, WRITE):
        for _ in range(2):
            await post.call(source_tool(source, f"demo.{hints.read_only}", annotations=hints))
    assert source.calls == 3
