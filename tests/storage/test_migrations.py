"""Migrations: applied once however many start together, whole or not at all, and back again with data in place."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import gatelodge_migrations
import pytest

from gatelodge.storage import StorageError, migrations
from gatelodge.storage.embedded import embedded_postgres
from gatelodge.testing import Cluster

UP = "import asyncio, sys; from gatelodge.storage import migrations; asyncio.run(migrations.up(sys.argv[1]))"
CORE_FILES = sorted(Path(gatelodge_migrations.__path__[0], "core").glob("*.sql"))
POLLING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try%' AND datname = current_database()"
Write = Callable[..., list[str]]


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def tables(dsn: str) -> set[str]:
    async with connected(dsn) as connection:
        return {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name=sql, ...)` makes a folder of migrations and answers it as sources, after the core's."""

    def write(**files: str) -> list[str]:
        for name, sql in files.items():
            (tmp_path / f"{name.replace('__', '.')}.sql").write_text(sql)
        return [*migrations.CORE, str(tmp_path)]

    return write


# --- up, down and status ---


async def test_status_tells_what_is_applied_and_changes_nothing(empty_database: str) -> None:
    """Before, all are pending and the database stays empty; after, all are applied, in the order of their names."""
    before = await migrations.status(empty_database)
    assert await tables(empty_database) == set()
    assert not any(item.applied for item in before)
    await migrations.up(empty_database)
    after = await migrations.status(empty_database)
    assert all(item.applied for item in after)
    assert [item.name for item in after] == sorted(item.name for item in before)


async def test_up_again_does_nothing(database: str) -> None:
    """A second start finds everything applied and keeps the data."""
    async with connected(database) as connection:
        await connection.execute("INSERT INTO tenants (id, name) VALUES ($1, 'kept')", uuid4())
        await migrations.up(database)
        assert await connection.fetchval("SELECT name FROM tenants") == "kept"


async def test_down_takes_the_newest_and_leaves_the_rest(database: str) -> None:
    """Steps down drop the newest tables alone; the data of the others stay, and up brings an empty one back."""
    async with connected(database) as connection:
        await connection.execute("INSERT INTO tenants (id, name) VALUES ($1, 'kept')", uuid4())
        await connection.execute("SELECT set_config('app.current_tenant_id', $1, false)", str(uuid4()))
        await connection.execute(
            "INSERT INTO work_item_metrics_daily (tenant_id, project_key, day) "
            "VALUES (current_setting('app.current_tenant_id')::uuid, 'SHOP', '2026-01-01')"
        )
        names = [item.name for item in await migrations.status(database)]
        newest = names[names.index("0009_work_item_metrics_daily") :]
        await migrations.down(database, count=len(newest))
        assert [item.name for item in await migrations.status(database) if not item.applied] == newest
        assert "work_item_metrics_daily" not in await tables(database)
        await migrations.up(database)
        assert await connection.fetchval("SELECT count(*) FROM work_item_metrics_daily") == 0
        assert await connection.fetchval("SELECT name FROM tenants") == "kept"


async def test_everything_goes_down_and_up_with_rows_in_it(database: str) -> None:
    """All the way down leaves only yoyo's own tables, though the audit takes no DELETE; and up works again."""
    async with connected(database) as connection:
        await connection.execute(
            "INSERT INTO audit_logs (tenant_id, seq, kind, request_id) VALUES ($1, 1, 'event', 'r')", uuid4()
        )
    await migrations.down(database, count=100)
    assert all(name.startswith(("_yoyo", "yoyo")) for name in await tables(database))
    await migrations.up(database)
    assert "audit_logs" in await tables(database)


def test_each_migration_has_its_rollback() -> None:
    """There is no way up without a way down."""
    names = {path.name.removesuffix(".sql") for path in CORE_FILES}
    ups = {name for name in names if not name.endswith(".rollback")}
    assert ups
    assert names - ups == {f"{name}.rollback" for name in ups}


# --- together and interrupted ---


async def test_replicas_that_start_together_apply_once(empty_database: str) -> None:
    """Four processes migrate one database at the same time: all succeed, and each migration ran once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    replicas = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", UP, empty_database, env=environment)
        for _ in range(4)
    ]
    assert [await replica.wait() for replica in replicas] == [0, 0, 0, 0]
    async with connected(empty_database) as connection:
        runs = await connection.fetch("SELECT migration_id, count(*) FROM _yoyo_log GROUP BY 1")
    assert dict(runs) == {item.name: 1 for item in await migrations.status(empty_database)}


async def test_databases_of_one_new_cluster_migrate_together(data_dir: Path) -> None:
    """The reader role belongs to all of them; none stumbles over another's making it at the same time."""
    async with embedded_postgres(data_dir) as dsn:
        cluster = Cluster(dsn, (data_dir / "password").read_text())
        names = [f"d{number}" for number in range(4)]
        for name in names:
            await cluster.create(name, "template0")
        await asyncio.gather(*(migrations.up(cluster.database(name)) for name in names))
        for name in names:
            assert all(item.applied for item in await migrations.status(cluster.database(name)))


async def test_what_a_killed_migration_left_is_no_obstacle(database: str) -> None:
    """yoyo's lock row outlives kill -9; the next one that has its turn removes it."""
    await migrations.down(database)
    async with connected(database) as connection:
        await connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
        await migrations.up(database)
        assert await connection.fetchval("SELECT count(*) FROM yoyo_lock") == 0


async def test_it_waits_its_turn(empty_database: str) -> None:
    """While another process holds the advisory lock nothing is changed; when that one is gone, the migration runs."""
    async with connected(empty_database) as other:
        await other.execute(f"SELECT pg_advisory_lock({migrations.LOCK})")
        waiting = asyncio.create_task(migrations.up(empty_database))
        while await other.fetchval(POLLING) == 0:  # noqa: ASYNC110 - Postgres has no event for it
            await asyncio.sleep(0.01)
        assert await tables(empty_database) == set()
    await waiting
    assert "tenants" in await tables(empty_database)


# --- plugins' migrations ---


async def test_a_plugins_migrations_follow_the_cores(empty_database: str, write: Write) -> None:
    """They may refer to the core's tables, and roll back first."""
    sources = write(
        **{"0000_weather": "CREATE TABLE weather (tenant_id uuid REFERENCES tenants)"},
        **{"0000_weather__rollback": "DROP TABLE weather"},
    )
    await migrations.up(empty_database, sources)
    assert "weather" in await tables(empty_database)
    await migrations.down(empty_database, 1, sources)
    assert "weather" not in await tables(empty_database)
    assert "work_item_metrics_daily" in await tables(empty_database)


async def test_a_failing_migration_leaves_nothing_half_done(database: str, write: Write) -> None:
    """The error names the migration and Postgres's reason; what came before it stays, and once mended it goes on."""
    sources = write(
        w1="CREATE TABLE weather (x int)",
        w2="CREATE TABLE wind (x int); INSERT INTO weather VALUES (1); SELECT nonsense; SELECT 1",
    )
    with pytest.raises(StorageError, match='migration w2 failed: column "nonsense" does not exist'):
        await migrations.up(database, sources)
    assert {"weather", "wind"} & await tables(database) == {"weather"}
    assert [item.name for item in await migrations.status(database, sources) if not item.applied] == ["w2"]
    write(w2="CREATE TABLE wind (x int)")
    await migrations.up(database, sources)
    assert "wind" in await tables(database)


async def test_an_index_can_be_made_concurrently(database: str, write: Write) -> None:
    """A migration may say that it runs outside a transaction, while replicas wait for their turn."""
    sources = write(w1="-- transactional: false\nCREATE INDEX CONCURRENTLY weather ON tenants (created_at)")
    await asyncio.gather(*(migrations.up(database, sources) for _ in range(3)))
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'weather'::regclass")


async def test_nothing_is_printed(database: str, write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    """In stdio mode stdout is the protocol's, and yoyo would print what a SELECT gives."""
    await migrations.up(database, write(w1="SELECT 'noise' AS noise"))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "source", ["package:gatelodge_migrations:nowhere", "package:no_such_package:core", "/no/where"]
)
async def test_missing_migrations_are_an_error(database: str, source: str) -> None:
    """A folder that is not there must not pass for one with nothing to do."""
    for action in (migrations.up, migrations.status):
        with pytest.raises(StorageError, match="migrations"):
            await action(database, sources=[*migrations.CORE, source])


async def test_two_migrations_of_one_name_are_an_error(database: str, write: Write) -> None:
    """yoyo knows a migration by its name alone, so a plugin's may not repeat one of the core's."""
    with pytest.raises(StorageError, match="0001_tenants"):
        await migrations.up(database, write(**{"0001_tenants": "SELECT 1"}))


async def test_a_bad_file_is_an_error(database: str, write: Write) -> None:
    """A migration that depends on one that is not there is named."""
    with pytest.raises(StorageError, match="w1"):
        await migrations.up(database, write(w1="-- depends: w0\nSELECT 1"))


# --- who may ---


async def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    """The error says where, not with which password."""
    for action in (migrations.up, migrations.down, migrations.status):
        with pytest.raises(StorageError) as caught:
            await action("postgresql://someone:canary@127.0.0.1:1/x")
        assert "127.0.0.1:1" in str(caught.value)
        assert "canary" not in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_where_we_may_not_make_roles_the_error_says_what_to_run(cluster: Cluster, empty_database: str) -> None:
    """Under an owner without CREATEROLE an administrator's one line is asked for, and is enough."""
    name, role = urlsplit(empty_database).path[1:], f"plain_{uuid4().hex}"
    await cluster.run(f"CREATE ROLE {role} LOGIN PASSWORD 'x'", f"ALTER DATABASE {name} OWNER TO {role}")
    dsn = urlsplit(empty_database)._replace(netloc=f"{role}:x@").geturl()
    try:
        with pytest.raises(StorageError, match=f"must run: .*GRANT gatelodge_reader, gatelodge_recorder TO {role}"):
            await migrations.up(dsn)
        await cluster.run(f"GRANT gatelodge_reader, gatelodge_recorder TO {role}")
        await migrations.up(dsn)
        async with connected(dsn) as connection:
            await connection.execute("SET ROLE gatelodge_reader; SELECT count(*) FROM work_items")
    finally:
        await cluster.run(f"ALTER DATABASE {name} OWNER TO gatelodge")
        async with connected(cluster.as_superuser(name)) as connection:
            await connection.execute(f"REASSIGN OWNED BY {role} TO gatelodge; DROP OWNED BY {role}; DROP ROLE {role}")
