"""The living keys in memory, so that a call costs no query; changes reach it through Postgres' notifications."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from ..switches.changes import FAILURES, Changes
from .key_store import CHANNEL, KeyStore
from .keys import ApiKey, key_id

logger = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=1)
"""How far a poll looks back: a transaction's changes carry the time they were made, and are seen when it ends."""
WRITE_USES_EVERY = 60.0


class KeyRing:
    """Keys by id. `find` is a look-up and one SHA-256."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._keys: dict[str, ApiKey] = {}
        self._read_at: datetime | None = None
        self._used: dict[str, float] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, shown: str) -> ApiKey | None:
        """The living key a caller shows, or None."""
        key = self._keys.get(key_id(shown) or "")
        now = time.time()
        if key is None or not key.opens_with(shown) or not key.lives(now):
            return None
        self._used[key.id] = now
        return key

    async def ended(self, id: str) -> None:
        """Wait until the key is revoked or expired."""
        while (key := self._keys.get(id)) is not None and key.lives(time.time()):
            changed = self._changed
            left = None if key.expires_at is None else key.expires_at.timestamp() - time.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()

    @asynccontextmanager
    async def following(self, changes: Changes) -> AsyncIterator[None]:
        """Keep the keys as they are in Postgres, and write down now and then which were used."""
        async with changes.watching(CHANNEL, self._refresh):
            writing = asyncio.create_task(self._write_uses_now_and_then())
            try:
                yield
            finally:
                writing.cancel()
                await self.write_uses()

    async def write_uses(self) -> None:
        """A use that cannot be written down is forgotten: it is a hint for the operator, not a record."""
        used, self._used = self._used, {}
        if used:
            try:
                await self._store.record_use({id: datetime.fromtimestamp(at, UTC) for id, at in used.items()})
            except FAILURES as error:
                logger.warning("cannot write when keys were last used, which keys list then does not show: %s", error)

    async def _write_uses_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(WRITE_USES_EVERY)
            await self.write_uses()

    async def _refresh(self, ids: frozenset[str] | None) -> None:
        if ids is None:
            since = None if self._read_at is None else self._read_at - OVERLAP
            found, self._read_at = await self._store.changed_since(since)
        else:
            found = await self._store.find(ids)
            for gone in ids - {key.id for key in found}:
                self._keys.pop(gone, None)
        self._take(found)

    def _take(self, found: list[ApiKey]) -> None:
        now = time.time()
        for key in found:
            if key.lives(now):
                self._keys[key.id] = key
            else:
                self._keys.pop(key.id, None)
        if found:
            self._changed.set()  # wakes who waits for a key's end, to look again
            self._changed = asyncio.Event()
