"""The shared store of a server that shares nothing: this process's memory, bounded like the other one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .shared import START, WAIT, Post, order

MOST_KEYS = 50_000


@dataclass(slots=True)
class _Box:
    expires: float = 0.0
    posts: deque[Post] = field(default_factory=deque)


class MemoryShared:
    """`clock` is in seconds. Beyond `limit` values the one that was put or touched longest ago is dropped."""

    def __init__(self, *, limit: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._boxes: OrderedDict[str, _Box] = OrderedDict()
        self._number = 0
        self._news = asyncio.Event()

    async def get(self, *keys: str) -> list[bytes | None]:
        return [self._value(key) for key in keys]

    async def put(self, key: str, data: bytes, *, ttl: float) -> None:
        self._values[key] = self._clock() + ttl, data
        self._values.move_to_end(key)
        while len(self._values) > self._limit:
            self._values.popitem(last=False)

    async def touch(self, keys: Sequence[str], *, ttl: float) -> list[bytes | None]:
        found = await self.get(*keys)
        for key, data in zip(keys, found, strict=True):
            if data is not None:
                await self.put(key, data, ttl=ttl)
        return found

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        if self._value(key) != old:
            return False
        await self.put(key, new, ttl=ttl)
        return True

    async def drop(self, key: str) -> None:
        self._values.pop(key, None)

    async def post(self, box: str, *messages: bytes, most: int, ttl: float) -> None:
        kept = self._box(box) or _Box()
        kept.expires = self._clock() + ttl
        self._boxes[box] = kept
        self._boxes.move_to_end(box)
        for data in messages:
            self._number += 1
            kept.posts.append(Post(box, f"{self._number}-0", data))
        while len(kept.posts) > most:
            kept.posts.popleft()
        while len(self._boxes) > self._limit:
            self._boxes.popitem(last=False)
        self._news.set()

    async def read(self, after: Mapping[str, str]) -> list[Post]:
        self._news.clear()
        found = self._after(after)
        if not found:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT):
                    await self._news.wait()
            found = self._after(after)
        return found

    async def since(self, box: str, position: str) -> list[Post]:
        return self._after({box: position})

    async def last(self, box: str) -> str:
        kept = self._box(box)
        return kept.posts[-1].position if kept is not None and kept.posts else START

    async def trim(self, box: str, position: str) -> None:
        kept = self._box(box)
        while kept is not None and kept.posts and order(kept.posts[0].position) <= order(position):
            kept.posts.popleft()

    def _value(self, key: str) -> bytes | None:
        expires, data = self._values.get(key, (0.0, b""))
        return data if self._clock() < expires else None

    def _box(self, name: str) -> _Box | None:
        kept = self._boxes.get(name)
        return kept if kept is not None and self._clock() < kept.expires else None

    def _after(self, positions: Mapping[str, str]) -> list[Post]:
        kept = [(self._box(name), order(position)) for name, position in positions.items()]
        return [post for box, start in kept if box for post in box.posts if order(post.position) > start]
