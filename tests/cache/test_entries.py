"""What every store of entries does: run against a real Valkey and against this process."""

from __future__ import annotations

import asyncio
from uuid import UUID

from gatelodge.caching import memory
from gatelodge.caching.cache import Entries
from gatelodge.caching.key import Scope
from gatelodge.caching.memory import MemoryEntries

HERE = Scope(UUID(int=1), "demo")
NEIGHBOUR = Scope(UUID(int=2), "demo")
OTHER_PLUGIN = Scope(UUID(int=1), "other")


async def keep(entries: Entries, scope: Scope, key: str, data: bytes, ttl: float = 60.0) -> None:
    generation, _ = await entries.get(scope, key)
    await entries.put(scope, key, data, ttl=ttl, generation=generation)


async def held(entries: Entries, scope: Scope, key: str) -> bytes | None:
    return (await entries.get(scope, key))[1]


async def test_what_is_kept_is_found_again(entries: Entries) -> None:
    """Any bytes, under their scope and key alone, until others are kept there."""
    await keep(entries, HERE, "a", b"\x00 one")
    assert await held(entries, HERE, "a") == b"\x00 one"
    assert await held(entries, HERE, "b") is None
    await keep(entries, HERE, "a", b"two")
    assert await held(entries, HERE, "a") == b"two"


async def test_scopes_never_meet(entries: Entries) -> None:
    """The same key of another tenant, or of another plugin, is another entry; so is what a write makes stale."""
    for scope, data in ((HERE, b"here"), (NEIGHBOUR, b"next door"), (OTHER_PLUGIN, b"other")):
        await keep(entries, scope, "a", data)
    await entries.invalidate(HERE)
    assert await held(entries, HERE, "a") is None
    assert await held(entries, NEIGHBOUR, "a") == b"next door"
    assert await held(entries, OTHER_PLUGIN, "a") == b"other"


async def test_what_was_asked_before_a_write_is_not_served_after_it(entries: Entries) -> None:
    """Even when it is kept only after the write has made its scope stale."""
    generation, _ = await entries.get(HERE, "a")
    await entries.invalidate(HERE)
    await entries.put(HERE, "a", b"old", ttl=60, generation=generation)
    assert await held(entries, HERE, "a") is None


async def test_an_entry_ends(entries: Entries) -> None:
    """After its time, in either clock."""
    await keep(entries, HERE, "a", b"one", ttl=0.05)
    async with asyncio.timeout(10):
        while await held(entries, HERE, "a") is not None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def test_memory_is_bounded_in_bytes() -> None:
    """The least recently used go first; one that is too large for the whole goes at once."""
    entries = MemoryEntries(5000)
    await keep(entries, HERE, "kept", b"x" * 1000)
    for number in range(100):
        await keep(entries, HERE, str(number), b"x" * 1000)
        assert await held(entries, HERE, "kept") is not None
        assert entries.size <= 5000
    assert await held(entries, HERE, "0") is None
    await keep(entries, HERE, "huge", b"x" * 6000)
    assert await held(entries, HERE, "huge") is None


async def test_memory_is_bounded_in_scopes() -> None:
    """Forgetting a scope's generation only makes its entries stale."""
    entries = MemoryEntries(5000)
    await keep(entries, HERE, "a", b"one")
    for number in range(memory.SCOPES):
        await entries.get(Scope(UUID(int=number + 100), "demo"), "a")
    assert len(entries._generations) == memory.SCOPES
    assert await held(entries, HERE, "a") is None
