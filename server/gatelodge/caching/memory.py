"""Entries in this process, in bounded memory: the least recently used go first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count

from .key import Scope

SCOPES = 10_000
_OVERHEAD = 300
"""Bytes an entry takes besides its data, about."""


class MemoryEntries:
    """`limit` is in bytes over all tenants; `clock` in seconds."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._entries: OrderedDict[str, tuple[str, float, bytes]] = OrderedDict()
        self._generations: OrderedDict[Scope, str] = OrderedDict()
        self._count = count()
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, scope: Scope, key: str) -> tuple[str, bytes | None]:
        """The scope's generation, and the data if it is of that generation and not too old."""
        generation, name = self._generation(scope), f"{scope.prefix}:{key}"
        found = self._entries.get(name)
        if found is None:
            return generation, None
        made_in, expires, data = found
        if made_in != generation or expires <= self._clock():
            self._drop(name)
            return generation, None
        self._entries.move_to_end(name)
        return generation, data

    async def put(self, scope: Scope, key: str, data: bytes, *, ttl: float, generation: str) -> None:
        """Keep data made in a generation for `ttl` seconds."""
        name = f"{scope.prefix}:{key}"
        self._drop(name)
        self._entries[name] = (generation, self._clock() + ttl, data)
        self.size += len(data) + _OVERHEAD
        while self.size > self._limit:
            self._drop(next(iter(self._entries)))

    async def invalidate(self, scope: Scope) -> None:
        """Begin a new generation: nothing kept before is served again."""
        self._begin(scope)

    def _generation(self, scope: Scope) -> str:
        return self._generations.get(scope) or self._begin(scope)

    def _begin(self, scope: Scope) -> str:
        """No number comes twice, so one that was forgotten for lack of room only makes entries stale."""
        generation = self._generations[scope] = str(next(self._count))
        self._generations.move_to_end(scope)
        if len(self._generations) > SCOPES:
            self._generations.popitem(last=False)
        return generation

    def _drop(self, name: str) -> None:
        found = self._entries.pop(name, None)
        if found is not None:
            self.size -= len(found[2]) + _OVERHEAD
