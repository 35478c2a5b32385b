"""The shared store in Redis or Valkey: strings that expire, and a stream for each box."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .shared import START, WAIT, Post, order

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH = 200
_FIELD = b"m"
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisShared:
    """Positions are the ids that streams give their entries, so they grow with Redis' clock even after it lost its data."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._swap = redis.register_script(_SWAP)

    async def get(self, *keys: str) -> list[bytes | None]:
        return cast(list[bytes | None], await self._redis.mget(keys))

    async def put(self, key: str, data: bytes, *, ttl: float) -> None:
        await self._redis.set(key, data, px=_milliseconds(ttl))

    async def touch(self, keys: Sequence[str], *, ttl: float) -> list[bytes | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.getex(key, px=_milliseconds(ttl))
        return list(await pipeline.execute()) if keys else []

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return bool(await self._swap(keys=[key], args=[old, new, _milliseconds(ttl)]))

    async def drop(self, key: str) -> None:
        await self._redis.delete(key)

    async def post(self, box: str, *messages: bytes, most: int, ttl: float) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for data in messages:
            pipeline.xadd(box, {_FIELD: data}, maxlen=most, approximate=False)
        pipeline.pexpire(box, _milliseconds(ttl))
        await pipeline.execute()

    async def read(self, after: Mapping[str, str]) -> list[Post]:
        streams: dict[Any, Any] = dict(after)
        found: Any = await self._redis.xread(streams, count=BATCH, block=int(WAIT * 1000))
        return [post for box, entries in found for post in _posts(box.decode(), entries)]

    async def since(self, box: str, position: str) -> list[Post]:
        found: Any = await self._redis.xrange(box, min=f"({position}")
        return list(_posts(box, found))

    async def last(self, box: str) -> str:
        found: Any = await self._redis.xrevrange(box, count=1)
        return next((post.position for post in _posts(box, found)), START)

    async def trim(self, box: str, position: str) -> None:
        time, number = order(position)
        await self._redis.xtrim(box, minid=f"{time}-{number + 1}", approximate=False)


def _posts(box: str, entries: Iterable[Any]) -> Iterable[Post]:
    return (Post(box, position.decode(), fields[_FIELD]) for position, fields in entries)


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
