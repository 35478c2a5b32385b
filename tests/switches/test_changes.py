"""What one process changes in Postgres reaches another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
from marshmallow import fields, validate

from gatelodge import Storage, Switch, ToolError
from gatelodge.storage.opening import StorageSettings, open_storage
from gatelodge.storage.postgres import create_pool
from gatelodge.switches import Changes, Switches
from gatelodge.switches.store import forget, live_switches, store, stored

LIMIT = Switch(
    name="limit", kind=fields.Integer(strict=True, validate=validate.Range(min=1)), default=5, help="A limit."
)

LISTENERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatelodge-changes'"
    " AND query LIKE 'LISTEN%' AND datname = current_database()"
)


@asynccontextmanager
async def create_pool_of(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(dsn, max_size=2)
    try:
        yield pool
    finally:
        await pool.close()


def live(pool: asyncpg.Pool, changes: Changes) -> AbstractAsyncContextManager[Storage]:
    return live_switches(Storage(pool, changes=changes), [LIMIT])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110, what is awaited happens in another process
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("listens", [True, False])
async def test_another_process_sees_a_setting(database: str, listens: bool) -> None:
    """A setting stored by one process is live in another, by notification or, without one, by polling."""
    changes = Changes(database if listens else None, poll=60 if listens else 0.05)
    async with create_pool_of(database) as pool, changes.listening(), live(pool, changes) as storage:
        assert storage.switches.get("limit") == 5
        await store(pool, storage.switches, {"limit": 7}, by="someone")
        await until(lambda: storage.switches.get("limit") == 7)
        await forget(pool, LIMIT, by="someone")
        await until(lambda: storage.switches.get("limit") == 5)


async def test_a_lost_connection_is_made_good(database: str, superuser: str) -> None:
    """What changed while the listening connection was cut is read when it is back."""
    async with (
        open_storage(StorageSettings(database_url=database)) as opened,
        live_switches(opened, [LIMIT]) as storage,
    ):
        cutter = await asyncpg.connect(superuser)
        await until_listening(cutter)
        await cutter.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatelodge-changes'"
            " AND datname = current_database()"
        )
        await cutter.execute("INSERT INTO settings (name, value) VALUES ('limit', '9')")
        await until(lambda: storage.switches.get("limit") == 9)
        await cutter.close()


async def test_values_are_checked_before_any_is_stored(database: str) -> None:
    """Of several values of which one does not fit, or one is unknown, none is stored."""
    switches = Switches([LIMIT])
    async with create_pool_of(database) as pool:
        with pytest.raises(ToolError, match="limit: Must be greater") as wrong:
            await store(pool, switches, {"limit": 0}, by="someone")
        assert wrong.value.details == {"fields": {"limit": ["Must be greater than or equal to 1."]}}
        with pytest.raises(ToolError, match="did you mean limit"):
            await store(pool, switches, {"limit": 6, "limmit": 6}, by="someone")
        assert await stored(pool) == {}


def test_a_stored_value_that_does_not_fit_leaves_the_default(caplog: pytest.LogCaptureFixture) -> None:
    """A value that was written past the checks does not take the server down, nor come into force; it is logged once."""
    switches = Switches([LIMIT])
    for _ in range(3):
        switches.apply({"limit": "many", "stranger": 1})
    assert switches.get("limit") == 5
    assert ["gatelodge settings set or unset it" in line for line in caplog.messages] == [True]


def test_followers_hear_of_changes_only() -> None:
    """A follower is told the value at first, and after that when it is another one."""
    switches, heard = Switches([LIMIT]), []
    switches.follow("limit", heard.append)
    for value in (6, 6, 7):
        switches.apply({"limit": value})
    switches.apply({})
    assert heard == [5, 6, 7, 5]


async def until_listening(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval(LISTENERS):  # noqa: ASYNC110, it happens in another process
            await asyncio.sleep(0.01)
