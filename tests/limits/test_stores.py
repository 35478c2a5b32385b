"""What every store of buckets does: run against a real Valkey and against this process."""

from __future__ import annotations

import asyncio

from gatelodge.limiter.gcra import Bucket, Policy
from gatelodge.limiter.memory import SWEEP_INTERVAL, MemoryBuckets
from gatelodge.limiter.quota import Quota

from .conftest import Store

SLOW = Policy("user-day", "user", Quota(3, 86400))
WIDE = Policy("tenant-day", "tenant", Quota(100, 86400))
FAST = Policy("user-second", "user", Quota(100, 1, burst=1))
SHADOW = Policy("user-day", "user", Quota(3, 86400), shadow=True)


def bucket(policy: Policy, who: str = "a") -> Bucket:
    return Bucket(f"gatelodge:rate:{{test}}:{policy.name}:{who}", policy)


async def test_a_burst_passes_and_the_next_call_waits(store: Store) -> None:
    """Three a day are three at once; the fourth is told when one unit is back."""
    verdicts = [await store.take([bucket(SLOW)], 1) for _ in range(4)]
    assert [v.allowed for v in verdicts] == [True, True, True, False]
    assert [v.levels[0].remaining(v.now) for v in verdicts] == [2, 1, 0, 0]
    refusing = verdicts[3].refusing
    assert refusing is not None
    assert 0 < refusing.wait <= SLOW.emission


async def test_buckets_are_taken_from_together_or_not_at_all(store: Store) -> None:
    """A call that one policy refuses is not charged to the others."""
    both = [bucket(WIDE), bucket(SLOW)]
    for _ in range(9):
        await store.take(both, 1)
    verdict = await store.take([bucket(WIDE)], 1)
    assert verdict.levels[0].remaining(verdict.now) == 96


async def test_a_shadow_policy_refuses_nothing_and_is_charged_no_further(store: Store) -> None:
    """The others go on being charged, and the verdict says what the shadow would have done."""
    both = [bucket(WIDE), bucket(SHADOW)]
    verdicts = [await store.take(both, 1) for _ in range(5)]
    last = verdicts[-1]
    assert [v.allowed for v in verdicts] == [True] * 5
    assert [len(v.shadowed) for v in verdicts] == [0, 0, 0, 1, 1]
    assert [level.remaining(last.now) for level in last.levels] == [95, 0]


async def test_a_cost_takes_as_many_units(store: Store) -> None:
    """Two units leave one, which is too little for two more; nothing is taken for nothing."""
    taken = [await store.take([bucket(SLOW)], cost) for cost in (0, 2, 2, 1)]
    assert [v.allowed for v in taken] == [True, True, False, True]
    assert [v.levels[0].remaining(v.now) for v in taken] == [3, 1, 1, 0]


async def test_subjects_do_not_share(store: Store) -> None:
    """One that is used up leaves the other full."""
    for _ in range(3):
        await store.take([bucket(SLOW)], 1)
    assert not (await store.take([bucket(SLOW)], 1)).allowed
    assert (await store.take([bucket(SLOW, "b")], 1)).allowed


async def test_units_come_back(store: Store) -> None:
    """On the store's own clock, no sooner than the policy says."""
    first = await store.take([bucket(FAST)], 1)
    while not (again := await store.take([bucket(FAST)], 1)).allowed:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.001)
    assert again.now - first.now >= FAST.emission


async def test_callers_at_once_get_no_more_than_callers_in_turn(store: Store) -> None:
    """Fifty together share three units."""
    verdicts = await asyncio.gather(*(store.take([bucket(SLOW), bucket(WIDE)], 1) for _ in range(50)))
    assert sum(v.allowed for v in verdicts) == 3


async def test_a_quota_that_is_lowered_keeps_nobody_out_for_longer_than_it_takes(store: Store) -> None:
    """A bucket that owes more than the new quota can hold counts as empty."""
    month, second = Policy("user", "user", Quota(1, 2_592_000)), Policy("user", "user", Quota(1, 1))
    await store.take([bucket(month)], 1)
    refusing = (await store.take([bucket(second)], 1)).refusing
    assert refusing is not None
    assert refusing.wait <= second.capacity


class Clock:
    """Microseconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


async def test_memory_is_bounded_however_many_callers_there_are() -> None:
    """With no room left newcomers are refused, those who are known are not; full buckets make room."""
    clock = Clock()
    store = MemoryBuckets(limit=100, clock=clock)
    verdicts = [await store.take([bucket(SLOW, str(n))], 1) for n in range(1000)]
    assert (len(store), sum(v.allowed for v in verdicts)) == (100, 100)
    assert verdicts[-1].refusing is not None
    assert (await store.take([bucket(SLOW, "5")], 1)).allowed
    clock.now += SLOW.capacity + SWEEP_INTERVAL
    verdicts = [await store.take([bucket(SLOW, f"new {n}")], 1) for n in range(100)]
    assert (len(store), sum(v.allowed for v in verdicts)) == (100, 100)


async def test_a_full_memory_does_not_refuse_for_a_shadow() -> None:
    """What only counts lets pass."""
    store = MemoryBuckets(limit=0)
    assert (await store.take([bucket(SHADOW)], 1)).allowed
    assert not (await store.take([bucket(SHADOW), bucket(WIDE)], 1)).allowed
