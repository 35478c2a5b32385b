"""The limiter of a server: shared buckets in Redis where there is one, this process's own while it is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ..storage.breaker import Breaker, RedisGone
from .gcra import Bucket, Verdict
from .memory import MemoryBuckets


class Buckets(Protocol):
    """Where buckets are kept."""

    async def take(self, buckets: Sequence[Bucket], cost: int) -> Verdict: ...


class Limiter:
    """Counts what it decides: `allowed`, `refused`, `refused:<policy>`, `shadowed`, and `local` (without Redis)."""

    def __init__(self, local: MemoryBuckets, shared: Buckets | None = None, breaker: Breaker | None = None) -> None:
        self._local = local
        self._shared = shared
        self._breaker = breaker
        self.counts: Counter[str] = Counter()

    @property
    def degraded(self) -> bool:
        """Whether Redis should decide and cannot."""
        return self._breaker is not None and self._breaker.open

    @property
    def retry_after(self) -> float:
        """Seconds after which Redis may be back."""
        return self._breaker.retry_after if self._breaker is not None else 0.0

    def report(self) -> str:
        """Where buckets are kept and what was decided, in one line. Raises `RedisGone` while Redis is gone."""
        counted = ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
        if self.degraded:
            raise RedisGone
        return f"{'in this process' if self._shared is None else 'in Redis'}; {counted or 'nothing decided yet'}"

    async def take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        """Take `cost` from all buckets or from none, wherever they are just now."""
        verdict = await self._take(buckets, cost)
        self.counts["allowed" if verdict.allowed else "refused"] += 1
        if verdict.local:
            self.counts["local"] += 1
        if not verdict.allowed:
            self.counts.update(f"refused:{level.policy.name}" for level in verdict.levels if level.wait)
        self.counts["shadowed"] += len(verdict.shadowed)
        return verdict

    async def _take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        if self._shared is None or self._breaker is None:
            return await self._local.take(buckets, cost)
        shared = self._shared
        try:
            return await self._breaker.run(lambda: shared.take(buckets, cost))
        except RedisGone:
            return replace(await self._local.take(buckets, cost), local=True)
