"""Buckets in this process: the same decisions as in Redis, for one process, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .gcra import SECOND, Bucket, Level, Verdict, decide

MAX_BUCKETS = 100_000
"""About 20 MB. Only buckets that are not full count, so it is a matter of the rate, not of how many call."""
SWEEP_INTERVAL = SECOND // 10


def monotonic() -> int:
    """Microseconds of a clock that is never set back."""
    return time.monotonic_ns() // 1000


class MemoryBuckets:
    """`clock` gives microseconds. With no room left a new bucket is refused: limits hold however many keys are seen."""

    def __init__(self, *, limit: int = MAX_BUCKETS, clock: Callable[[], int] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._arrivals: dict[str, int] = {}
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    async def take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        """Decide, and keep what was taken. Nothing else runs in between."""
        now = self._clock()
        held = self._arrivals
        verdict = decide(now, [held.get(bucket.key, 0) for bucket in buckets], buckets, cost)
        if not verdict.allowed:
            return verdict
        if len(held) + len(buckets) > self._limit and not self._room(now, buckets):
            return _crowded(verdict)
        for bucket, level in zip(buckets, verdict.levels, strict=True):
            if level.arrival > now:
                held[bucket.key] = level.arrival
        return verdict

    def _room(self, now: int, buckets: Sequence[Bucket]) -> bool:
        """Whether the buckets that are new fit, after full ones were dropped."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_INTERVAL
            for key in [key for key, arrival in self._arrivals.items() if arrival <= now]:
                del self._arrivals[key]
        wanted = sum(bucket.key not in self._arrivals for bucket in buckets)
        return len(self._arrivals) + wanted <= self._limit


def _crowded(verdict: Verdict) -> Verdict:
    """No room: every policy that is not in shadow refuses until the next sweep has made some."""
    levels = tuple(Level(level.policy, level.arrival, SWEEP_INTERVAL) for level in verdict.levels)
    return Verdict(verdict.now, all(level.policy.shadow for level in levels), levels)
