"""The `settings` table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..audit.once import by_operator, record
from ..webhooks.outbox import write
from .registry import Switch, Switches

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage import Storage
    from ..storage.postgres import Connection

CHANNEL = "gatelodge_settings"


async def stored(pool: Pool[Any]) -> dict[str, Any]:
    """What is set, by name, as JSON values."""
    return {row["name"]: row["value"] for row in await pool.fetch("SELECT name, value FROM settings")}


async def store(pool: Pool[Any], switches: Switches, values: Mapping[str, Any], *, by: str) -> None:
    """Set all of them or none. Raises `not_found` for a name, `validation_error` for a value that does not fit."""
    for name, value in values.items():
        switches.find(name).parse(value)
    async with _announced(pool, [switches.known[name] for name in values], by) as connection:
        for name, value in values.items():
            await record(connection, by_operator("setting.set", by, setting=name, value=value))
        await connection.executemany(
            "INSERT INTO settings (name, value, updated_by) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
            " SET value = excluded.value, updated_by = excluded.updated_by, updated_at = now()",
            [(name, value, by) for name, value in values.items()],
        )


async def forget(pool: Pool[Any], switch: Switch, *, by: str) -> None:
    """Back to the default."""
    async with _announced(pool, [switch], by) as connection:
        await record(connection, by_operator("setting.unset", by, setting=switch.name))
        await connection.execute("DELETE FROM settings WHERE name = $1", switch.name)


@asynccontextmanager
async def _announced(pool: Pool[Any], changing: Iterable[Switch], by: str) -> AsyncIterator[Connection]:
    """A transaction that changes these switches, and tells operators of those that say so and come out otherwise."""
    told = {switch.name: switch for switch in changing if switch.announce}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('settings'))")
        before = await _values(connection, told)
        yield connection
        after = await _values(connection, told)
        for name, switch in told.items():
            if switch.announce is not None and before[name] != after[name]:
                await write(connection, switch.announce(after[name], by))


async def _values(connection: Connection, switches: Mapping[str, Switch]) -> dict[str, Any]:
    """As they are in force: typed, and the default where none is set or fits."""
    rows = await connection.fetch("SELECT name, value FROM settings WHERE name = ANY($1)", list(switches))
    live = Switches(switches.values())
    live.apply({row["name"]: row["value"] for row in rows})
    return {name: live.get(name) for name in switches}


@asynccontextmanager
async def live_switches(storage: Storage, switches: Iterable[Switch]) -> AsyncIterator[Storage]:
    """The storage with its switches, which follow the table for as long as this is open."""
    live = Switches(switches)

    async def refresh(names: frozenset[str] | None) -> None:
        live.apply(await stored(storage.postgres))

    async with storage.changes.watching(CHANNEL, refresh):
        yield replace(storage, switches=live)
