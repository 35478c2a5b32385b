"""Both places where buckets are kept, and calls to be measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from gatelodge.limiter.gcra import Bucket, Verdict
from gatelodge.limiter.memory import MemoryBuckets
from gatelodge.limiter.redis import RedisBuckets
from gatelodge.storage.redis import connect

from ..policed import own_valkey as own_valkey


class Store(Protocol):
    """What every store of buckets can do."""

    async def take(self, buckets: list[Bucket], cost: int) -> Verdict: ...


@pytest.fixture(params=["redis", "memory"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store: a real Valkey, then this process."""
    if request.param == "memory":
        yield MemoryBuckets()
        return
    client = connect(request.getfixturevalue("valkey"))
    yield RedisBuckets(client)
    await client.aclose()
