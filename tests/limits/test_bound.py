"""The promise of the limiter, whatever the calls: over any time t no policy lets through more than burst + rate · t."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from gatelodge.limiter.gcra import SECOND, Bucket, Policy, Verdict
from gatelodge.limiter.memory import MemoryBuckets
from gatelodge.limiter.quota import Quota
from gatelodge.limiter.redis import RedisBuckets

POLICIES = (
    Policy("user-second", "user", Quota(150, 1, burst=3)),
    Policy("tool-second", "tool", Quota(70, 1, burst=2)),
    Policy("tenant-7s", "tenant", Quota(9, 7)),
    Policy("instance-second", "instance", Quota(300, 1, burst=1), shadow=True),
)
PAUSES = (0, 1, 4000, 7000, 15000)
"""Microseconds: no time, less than a unit takes, about as much, and more."""


class Clock:
    """Microseconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now

    def advance(self, microseconds: int) -> None:
        self.now += microseconds


class Bound(RuleBasedStateMachine):
    """Calls of two subjects, measured by any set of policies; `taken` has the time and units of what passed."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.taken: dict[Bucket, list[tuple[int, int]]] = defaultdict(list)

    @rule(
        policies=st.sets(st.sampled_from(POLICIES), min_size=1),
        who=st.sampled_from("ab"),
        costs=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    )
    def call(self, policies: set[Policy], who: str, costs: list[int]) -> None:
        buckets = [Bucket(f"{{test}}:{policy.name}:{who}", policy) for policy in sorted(policies, key=POLICIES.index)]
        for cost in costs:
            self.note(buckets, cost, self.runner.run(self.store.take(buckets, cost)))

    def note(self, buckets: list[Bucket], cost: int, verdict: Verdict) -> None:
        enforced = [level for level in verdict.levels if not level.policy.shadow]
        assert verdict.allowed == (not any(level.wait for level in enforced))
        for bucket, level in zip(buckets, verdict.levels, strict=True):
            if verdict.allowed and not level.wait:
                self.taken[bucket].append((verdict.now, min(cost, bucket.policy.burst)))

    @rule(pause=st.sampled_from(PAUSES))
    def wait(self, pause: int) -> None:
        self.advance(pause)

    @invariant()
    def no_policy_lets_through_more_than_it_says(self) -> None:
        for bucket, passed in self.taken.items():
            quota = bucket.policy.quota
            rate = Fraction(quota.amount, quota.window * SECOND)
            end = passed[-1][0]
            units = 0
            for at, cost in reversed(passed):
                units += cost
                assert units <= bucket.policy.burst + rate * (end - at)

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.close()


class InMemory(Bound):
    """On a clock of the test's own."""

    def __init__(self) -> None:
        super().__init__()
        clock = Clock()
        self.store = MemoryBuckets(clock=clock)
        self.advance = clock.advance

    async def close(self) -> None:
        pass


def in_redis(url: str) -> Callable[[], Bound]:
    class InRedis(Bound):
        """On the server's clock."""

        def __init__(self) -> None:
            super().__init__()
            self.client = Redis.from_url(url)
            self.store = RedisBuckets(self.client)
            self.runner.run(self.client.flushall())

        def advance(self, microseconds: int) -> None:
            time.sleep(microseconds / SECOND)

        async def close(self) -> None:
            await self.client.aclose()

    return InRedis


@pytest.mark.parametrize("place", ["memory", "redis"])
def test_no_policy_lets_through_more_than_burst_and_rate(place: str, request: pytest.FixtureRequest) -> None:
    """Any calls, costs and pauses, measured by any policies at once, in either store."""
    machine = InMemory if place == "memory" else in_redis(request.getfixturevalue("valkey"))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 if place == "memory" else 25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
