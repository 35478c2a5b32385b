"""The promise of the cache, whatever reads and writes there are: nobody reads older than their tenant's last write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis.asyncio import Redis

from gatelodge import WRITE, Call
from gatelodge.middleware.cache import CachePlugin

from ..policed import ALICE, BOB, STRANGER, a_tool, policed

CALLERS = {"alice": ALICE, "bob": BOB, "stranger": STRANGER}


class Promise(RuleBasedStateMachine):
    """Two replicas over one Redis, or one process without; `truth` is what each tenant wrote last."""

    url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.truth: dict[tuple[UUID, int], int] = {}
        self.writes = 0
        self.read_tool = a_tool("demo.read", handler=self.look)
        self.write_tool = a_tool("demo.write", handler=self.store, annotations=WRITE)
        self.replicas = self.runner.run(self.open())

    async def open(self) -> list[Any]:
        if self.url is None:
            return [await self.stack.enter_async_context(policed(CachePlugin()))]
        clients = [await self.stack.enter_async_context(Redis.from_url(self.url)) for _ in range(2)]
        await clients[0].flushall()
        return [await self.stack.enter_async_context(policed(CachePlugin(), {}, client)) for client in clients]

    async def look(self, call: Call) -> Mapping[str, Any]:
        place = call.principal.tenant, call.arguments["n"]
        value = self.truth.get(place, 0)
        await asyncio.sleep(0)
        return {"user": call.principal.user, "tenant": str(place[0]), "value": value}

    async def store(self, call: Call) -> Mapping[str, Any]:
        self.writes += 1
        self.truth[call.principal.tenant, call.arguments["n"]] = self.writes
        return {}

    @rule(
        callers=st.lists(
            st.tuples(st.sampled_from(sorted(CALLERS)), st.booleans(), st.integers(0, 1), st.integers(0, 1)),
            min_size=1,
            max_size=6,
        )
    )
    def call_at_once(self, callers: list[tuple[str, bool, int, int]]) -> None:
        self.runner.run(self.together(callers))

    async def together(self, callers: list[tuple[str, bool, int, int]]) -> None:
        before = dict(self.truth)
        await asyncio.gather(*(self.one(before, *caller) for caller in callers))

    async def one(self, before: Mapping[tuple[UUID, int], int], name: str, writes: bool, n: int, replica: int) -> None:
        who = CALLERS[name]
        post = self.replicas[replica % len(self.replicas)]
        result = await post.call(self.write_tool if writes else self.read_tool, who, n=n)
        assert result.outcome == "ok"
        if not writes:
            seen = result.structured
            assert (seen["user"], seen["tenant"]) == (who.user, str(who.tenant))
            assert before.get((who.tenant, n), 0) <= seen["value"] <= self.truth.get((who.tenant, n), 0)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()


def in_redis(url: str) -> Callable[[], Promise]:
    return type("InRedis", (Promise,), {"url": url})


@pytest.mark.parametrize("place", ["memory", "redis"])
def test_nobody_reads_what_is_not_theirs_or_older_than_the_last_write(
    place: str, request: pytest.FixtureRequest
) -> None:
    """Reads and writes of three callers of two tenants, several at once, at two replicas."""
    machine = Promise if place == "memory" else in_redis(request.getfixturevalue("valkey"))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
