"""What every store of buckets does: run against a real Valkey and against this process."""

from __future__ import annotations

from gatelodge.limiter.gcra import Bucket, Policy
from gatelodge.limiter.quota import Quota

from .conftest import Store

SLOW = Policy("user-day", "user", Quota(3, 86400))
WIDE = Policy("tenant-day", "tenant", Quota(100, 86400))


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
