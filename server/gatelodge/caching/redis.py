"""Entries in Redis or Valkey, shared by all replicas. A hit is one round trip, a miss two."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

from .key import Scope

if TYPE_CHECKING:
    from redis.asyncio import Redis

GENERATION_TTL = 7 * 86400
"""Seconds. Longer than any entry lives; one that is evicted does no harm, for the next one makes its entries stale."""
_LENGTH = 16


class RedisEntries:
    """An entry is kept behind the generation it was made in, so one MGET says whether it still counts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, scope: Scope, key: str) -> tuple[str, bytes | None]:
        """The scope's generation, and the data if it is of that generation."""
        prefix = scope.prefix
        names = f"{prefix}:generation", f"{prefix}:{key}"
        generation, found = cast(list[bytes | None], await self._redis.mget(names))
        if generation is None:
            return await self._begin(scope), None
        return generation.decode(), found[_LENGTH:] if found and found[:_LENGTH] == generation else None

    async def put(self, scope: Scope, key: str, data: bytes, *, ttl: float, generation: str) -> None:
        """Keep data made in a generation for `ttl` seconds."""
        await self._redis.set(f"{scope.prefix}:{key}", generation.encode() + data, px=max(1, int(ttl * 1000)))

    async def invalidate(self, scope: Scope) -> None:
        """Begin a new generation: nothing kept before is served again."""
        await self._redis.set(f"{scope.prefix}:generation", _new_generation(), ex=GENERATION_TTL)

    async def _begin(self, scope: Scope) -> str:
        """The first generation, unless another process was faster."""
        name, generation = f"{scope.prefix}:generation", _new_generation()
        if await self._redis.set(name, generation, nx=True, ex=GENERATION_TTL):
            return generation
        found = cast(bytes | None, await self._redis.get(name))
        return found.decode() if found else generation


def _new_generation() -> str:
    return secrets.token_hex(_LENGTH // 2)
