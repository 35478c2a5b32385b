"""The cache in both of its places."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from gatelodge.caching.cache import Entries
from gatelodge.caching.memory import MemoryEntries
from gatelodge.caching.redis import RedisEntries
from gatelodge.storage.redis import connect

from ..policed import own_valkey as own_valkey


@pytest.fixture(params=["redis", "memory"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Redis | None]:
    """A client of a real Valkey, then none, which means this process."""
    if request.param == "memory":
        yield None
        return
    client = connect(request.getfixturevalue("valkey"))
    yield client
    await client.aclose()


@pytest.fixture
def entries(place: Redis | None) -> Entries:
    """An empty store of entries."""
    return MemoryEntries(10_000) if place is None else RedisEntries(place)
