"""The `settings` table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .registry import Switch, Switches

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage import Storage

CHANNEL = "gatelodge_settings"


async def stored(pool: Pool[Any]) -> dict[str, Any]:
    """What is set, by name, as JSON values."""
    return {row["name"]: row["value"] for row in await pool.fetch("SELECT name, value FROM settings")}


async def store(pool: Pool[Any], switches: Switches, values: Mapping[str, Any], *, by: str) -> None:
    """Set all of them or none. Raises `not_found` for a name, `validation_error` for a value that does not fit."""
    for name, value in values.items():
        switches.find(name).parse(value)
    await pool.executemany(
        "INSERT INTO settings (name, value, updated_by) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
        " SET value = excluded.value, updated_by = excluded.updated_by, updated_at = now()",
        [(name, value, by) for name, value in values.items()],
    )


async def forget(pool: Pool[Any], name: str) -> None:
    """Back to the default."""
    await pool.execute("DELETE FROM settings WHERE name = $1", name)


@asynccontextmanager
async def live_switches(storage: Storage, switches: Iterable[Switch]) -> AsyncIterator[Storage]:
    """The storage with its switches, which follow the table for as long as this is open."""
    live = Switches(switches)

    async def refresh(names: frozenset[str] | None) -> None:
        live.apply(await stored(storage.postgres))

    async with storage.changes.watching(CHANNEL, refresh):
        yield replace(storage, switches=live)
