"""Migrations by yoyo, over a DB-API face of asyncpg.

yoyo is synchronous and knows no asyncpg, so all of it runs in a thread with an event loop of its own. Replicas that
start together take turns by an advisory lock, which is polled: a blocking one would deadlock with CREATE INDEX
CONCURRENTLY.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
from yoyo import read_migrations
from yoyo.backends.base import DatabaseBackend
from yoyo.exceptions import BadMigration, MigrationConflict
from yoyo.migrations import Migration as YoyoMigration
from yoyo.migrations import MigrationList, default_migration_table

from . import StorageError
from .postgres import connect, unusable

CORE = ("package:gatelodge_migrations:core",)
LOCK = 0x6761_7465_6C6F_6467
"""The advisory lock's number: `gatelodg` in ASCII."""
LOCK_TIMEOUT = 300.0
POLL = 0.1
FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
HASHES = f"SELECT migration_hash FROM {default_migration_table}"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    applied: bool


async def up(dsn: str, sources: Sequence[str] = CORE) -> None:
    """Apply what is not applied, each migration whole or not at all. Raises `StorageError`."""
    await asyncio.to_thread(_locked, dsn, sources, _apply)


async def down(dsn: str, count: int = 1, sources: Sequence[str] = CORE) -> None:
    """Roll back the newest `count` applied migrations, newest first. Raises `StorageError`."""
    await asyncio.to_thread(_locked, dsn, sources, lambda backend, found: _roll_back(backend, found, count))


async def status(dsn: str, sources: Sequence[str] = CORE) -> list[Migration]:
    """Every migration in order. Changes nothing and waits for nobody. Raises `StorageError`."""
    found = await asyncio.to_thread(_read, sources)
    connection = await connect(dsn)
    try:
        known = await connection.fetchval("SELECT to_regclass($1)", default_migration_table)
        applied = {row[0] for row in await connection.fetch(HASHES)} if known else set()
    finally:
        await connection.close()
    return [Migration(item.id, item.hash in applied) for item in found]


def _apply(backend: _AsyncpgBackend, found: MigrationList) -> None:
    for migration in backend.to_apply(found):
        with _named(migration):
            backend.apply_one(migration)


def _roll_back(backend: _AsyncpgBackend, found: MigrationList, count: int) -> None:
    for migration in backend.to_rollback(found)[:count]:
        with _named(migration):
            backend.rollback_one(migration)


@contextmanager
def _named(migration: YoyoMigration) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise StorageError(f"migration {migration.id} failed: {error}") from error


def _locked(dsn: str, sources: Sequence[str], action: Callable[[_AsyncpgBackend, MigrationList], None]) -> None:
    found = _read(sources)
    with _AsyncpgBackend(SimpleNamespace(dsn=dsn), default_migration_table) as backend:
        try:
            _take_turn(backend)
            backend.init_database()
            backend.break_lock()  # its row outlives a kill -9; the advisory lock already keeps everyone else out
            action(backend, found)
        except FAILURES as error:
            raise unusable(dsn, error) from error


def _read(sources: Sequence[str]) -> MigrationList:
    try:
        for source in sources:
            if not read_migrations(source):  # yoyo takes a missing folder for one without migrations
                raise StorageError(f"no migrations found in {source}")
        found = read_migrations(*sources)
        for migration in found:
            migration.load()
    except (ImportError, OSError, BadMigration, MigrationConflict) as error:
        raise StorageError(f"migrations cannot be read: {error}") from error
    return found


def _take_turn(backend: _AsyncpgBackend) -> None:
    """Hold the advisory lock; closing the connection releases it, whichever way that happens."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not backend.execute(f"SELECT pg_try_advisory_lock({LOCK})").fetchone()[0]:
        if time.monotonic() > deadline:
            raise StorageError(f"another process has been migrating for {LOCK_TIMEOUT:g} s")
        time.sleep(POLL)


class _Cursor:
    """The part of a DB-API cursor that yoyo uses."""

    description = None
    """What makes yoyo print a SELECT's rows to stdout, which is MCP's own in stdio mode."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._rows = self._connection.run(sql, parameters)

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def close(self) -> None:
        self._rows = []


class _Connection:
    """An asyncpg connection driven from synchronous code."""

    def __init__(self, dsn: str) -> None:
        self._runner = asyncio.Runner()
        try:
            self._asyncpg = self._runner.run(connect(dsn))
        except BaseException:
            self._runner.close()
            raise

    def run(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        async def fetch() -> list[Any]:
            return list(await self._asyncpg.fetch(sql, *parameters))

        return self._runner.run(fetch())

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def commit(self) -> None:
        """Nothing: the backend sends COMMIT itself."""

    rollback = commit

    def close(self) -> None:
        self._runner.run(self._asyncpg.close())
        self._runner.close()


class _AsyncpgBackend(DatabaseBackend):  # type: ignore[misc]
    """yoyo's backend, with asyncpg in the driver's place and one connection for everything."""

    _driver = SimpleNamespace(DatabaseError=asyncpg.PostgresError)

    def connect(self, dburi: Any) -> _Connection:
        return _Connection(dburi.dsn)

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> _Cursor:
        """Named parameters (`:name`) become asyncpg's `$1`, in the order of the mapping."""
        names = list(params or {})
        numbered = re.sub(r":(\w+)", lambda found: f"${names.index(found[1]) + 1}", sql) if names else sql
        cursor = _Cursor(self.connection)
        cursor.execute(numbered, list((params or {}).values()))
        return cursor

    def list_tables(self, **kwargs: Any) -> list[str]:
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        return [row[0] for row in self.execute(sql).fetchall()]

    def apply_one(self, migration: YoyoMigration, force: bool = False, mark: bool = True) -> None:
        """yoyo marks in a second transaction: a crash between the two would leave a migration to fail for ever."""
        with self._whole(migration):
            migration.process_steps(self, "apply")
            self.log_migration(migration, "apply")
            self.mark_one(migration, log=False)

    def rollback_one(self, migration: YoyoMigration, force: bool = False) -> None:
        with self._whole(migration):
            migration.process_steps(self, "rollback")
            self.log_migration(migration, "rollback")
            self.unmark_one(migration, log=False)

    def _whole(self, migration: YoyoMigration) -> Any:
        return self.transaction() if migration.use_transactions else nullcontext()

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """As yoyo's, without its look-ups of the user (a container's may have no name) and in the DNS."""
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id,
            "migration_hash": migration.hash,
            "username": str(os.getuid()),
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def commit(self) -> None:
        self.execute("COMMIT")
        super().commit()

    def rollback(self) -> None:
        self.execute("ROLLBACK")
        super().rollback()
