"""Buckets in Redis or Valkey: one script, one round trip, on the server's clock, shared by all replicas."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from .gcra import Bucket, Verdict, decide

if TYPE_CHECKING:
    from redis.asyncio import Redis

SCRIPT = files(__package__).joinpath("gcra.lua").read_text("utf-8")


class RedisBuckets:
    """All buckets of one call must carry the same hash tag in their keys, so that a cluster holds them on one node."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(SCRIPT)

    async def take(self, buckets: Sequence[Bucket], cost: int) -> Verdict:
        """Decide in Redis. Raises what redis-py raises."""
        numbers = (
            number
            for bucket in buckets
            for number in (bucket.policy.increment(cost), bucket.policy.capacity, int(bucket.policy.shadow))
        )
        now, *arrivals = await self._script(keys=[bucket.key for bucket in buckets], args=list(numbers))
        return decide(now, arrivals, buckets, cost)
