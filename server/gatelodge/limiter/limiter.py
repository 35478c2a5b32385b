"""The limiter of a server: shared buckets in Redis where there is one, this process's own while it is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..storage.breaker import Breaker, RedisGone
from .gcra import Bucket, Verdict
from .memory import MemoryBuckets
from .redis import RedisBuckets

if TYPE_CHECKING:
    from redis.asyncio import Redis


WITHOUT_REDIS = "destructive tools are refused, and each process counts other limits for itself"


class Limiter:
    """Counts what it decides: `allowed`, `refused`, `local` (no Redis), and by policy `refused:` and `shadowed:`."""

    def __init__(self, local: MemoryBuckets, redis: Redis | None = None) -> None:
        self._local = local
        self._shared = None if redis is None else RedisBuckets(redis)
        self._breaker = None if redis is None else Breaker("rate limits", redis, meanwhile=WITHOUT_REDIS)
        self.counts: Counter[str] = Counter()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """For as long as calls are decided."""
        if self._breaker is None:
            yield
            return
        async with self._breaker.lifespan():
            yield

    @property
    def outages(self) -> int:
        """How often Redis went away."""
        return 0 if self._breaker is None else self._breaker.outages

    @property
    def decisions(self) -> dict[str, float]:
        """How many calls were `allowed` and `refused`, and how many of them `local`, decided without Redis."""
        return {name: count for name, count in self.counts.items() if ":" not in name}

    def policies(self, what: str) -> dict[str, float]:
        """The same by policy; `what` is `refused` or `shadowed`."""
        counts = ((name.partition(":"), count) for name, count in self.counts.items())
        return {policy: count for (kind, colon, policy), count in counts if colon and kind == what}

    @property
    def retry_after(self) -> float:
        """Seconds after which Redis may be back."""
        return self._breaker.retry_after if self._breaker is not None else 0.0

    def report(self) -> str:
        """Where buckets are kept and what was decided, in one line. Raises `RedisGone` while Redis is."""
        if self._breaker is not None and self._breaker.open:
            raise RedisGone
        counted = ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
        return f"{'in this process' if self._breaker is None else 'in Redis'}; {counted or 'nothing decided yet'}"

    async def take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        """Take `cost` from all buckets or from none, wherever they are just now."""
        verdict = await self._take(buckets, cost)
        self._count(verdict)
        return verdict

    async def _take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        shared, breaker = self._shared, self._breaker
        if shared is None or breaker is None:
            return await self._local.take(buckets, cost)
        try:
            return await breaker.run(lambda: shared.take(buckets, cost))
        except RedisGone:
            return replace(await self._local.take(buckets, cost), local=True)

    def _count(self, verdict: Verdict) -> None:
        counts = self.counts
        counts["allowed" if verdict.allowed else "refused"] += 1
        if verdict.local:
            counts["local"] += 1
        for level in verdict.levels:
            if level.wait:
                counts[f"{'shadowed' if level.policy.shadow else 'refused'}:{level.policy.name}"] += 1
