"""A backup back into a database, and the proof that it can be: a restore into a Postgres made for it alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from ..audit.verify import verify as verify_chains
from ..storage.embedded import embedded_postgres
from ..storage.postgres import connect
from .making import Backup, digest, read_manifest
from .programs import BackupError, find_program, run

if TYPE_CHECKING:
    from ..storage.postgres import Connection

ROLES = ("gatelodge_reader", "gatelodge_recorder")
"""What a server becomes; the others that a dump grants rights to are named in its manifest."""
TABLES = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
  AND NOT relispartition ORDER BY relname"""
NEW_SCHEMA = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
"""As in a database that was just made. A dump does not hold that right."""
SESSION = "SET lock_timeout = '5s'"


async def restore(dsn: str, backup: Backup, *, replace: bool = False) -> None:
    """Fill an empty database, or with `replace` one whose tables are dropped first. All of it, or nothing.

    Raises `BackupError`.
    """
    check_whole(backup)
    facts = read_manifest(backup)
    connection = await connect(dsn)
    try:
        await connection.execute(SESSION)
        major = int(await connection.fetchval("SHOW server_version_num")) // 10_000
        program = find_program("pg_restore", max(major, facts["server_version"] // 10_000))
        await _empty(connection, replace)
        await _ensure_roles(connection, facts.get("roles", ()))
    except (asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError) as error:
        raise BackupError(f"the database cannot be emptied: {error}; stop the servers that use it") from None
    finally:
        await connection.close()
    await run(program, dsn, "--no-owner", "--exit-on-error", "--single-transaction", str(backup.dump))


async def verify(backup: Backup) -> dict[str, int]:
    """Restore into a scratch Postgres and check the audit's chains there; the rows of each table.

    Raises `BackupError` for a backup that does not restore, or whose audit is not whole.
    """
    with _scratch_folder() as folder:
        async with embedded_postgres(folder) as dsn:
            await restore(dsn, backup)
            connection = await connect(dsn)
            try:
                async for verdict in verify_chains(connection):
                    if verdict.fault is not None:
                        raise BackupError(f"the audit of {verdict.tenant} is bad at row {verdict.fault.seq}")
                return await _counts(connection)
            finally:
                await connection.close()


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Gone afterwards. Others may pass it: under root, Postgres runs as `nobody`."""
    with tempfile.TemporaryDirectory(prefix="gatelodge-verify-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "scratch"


def check_whole(backup: Backup) -> None:
    """Raises `BackupError` for a dump that is not what its manifest says."""
    if not backup.dump.is_file():
        raise BackupError(f"{backup.dump} is not there")
    if backup.manifest.exists() and digest(backup.dump) != read_manifest(backup)["sha256"]:
        raise BackupError(f"{backup.dump} is not whole: its SHA-256 is not the one in {backup.manifest.name}")


async def _empty(connection: Connection, replace: bool) -> None:
    tables = [row[0] for row in await connection.fetch(TABLES)]
    if tables and not replace:
        raise BackupError(f"the database has {len(tables)} tables ({tables[0]} first); --replace drops them")
    if tables:
        await connection.execute(NEW_SCHEMA)


async def _ensure_roles(connection: Connection, named: Iterable[str]) -> None:
    """Roles that are missing are made, and nobody can log in as them: whom they were for is not in a dump."""
    for role in named:
        if not await connection.fetchval("SELECT to_regrole(quote_ident($1)) IS NOT NULL", role):
            await connection.execute(
                await connection.fetchval("SELECT format('CREATE ROLE %I NOLOGIN', $1::text)", role)
            )
    for role in ROLES:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f"CREATE ROLE {role} NOLOGIN")
        if not await connection.fetchval("SELECT pg_has_role($1, 'MEMBER')", role):
            await connection.execute(f"GRANT {role} TO CURRENT_USER")
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")  # a schema made anew lets nobody in


async def _counts(connection: Connection) -> dict[str, int]:
    """Row-level security hides what it hides from this role too; those tables count as far as they are seen."""
    names = [row[0] for row in await connection.fetch(TABLES)]
    return {name: await connection.fetchval(f'SELECT count(*) FROM public."{name}"') for name in names}
