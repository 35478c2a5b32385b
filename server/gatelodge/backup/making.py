"""A backup: the dump, and beside it a JSON file that says what is in it, with the settings and the keys' metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..storage.postgres import connect
from .programs import BackupError, find_program, run

STAMP = "%Y%m%d_%H%M%S"
PREFIX, DUMP, MANIFEST = "gatelodge_", ".dump", ".json"
BOUND = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND row_security_active(oid) ORDER BY relname"
SETTINGS = "SELECT name, value::text AS value FROM settings ORDER BY name"
ROLES = """
SELECT DISTINCT rolname FROM (
    SELECT relowner AS owner, relacl AS acl, relnamespace AS space FROM pg_class
    UNION ALL SELECT proowner, proacl, pronamespace FROM pg_proc
    UNION ALL SELECT nspowner, nspacl, oid FROM pg_namespace
) AS held LEFT JOIN LATERAL aclexplode(acl) AS given ON true
JOIN pg_roles AS r ON r.oid IN (owner, given.grantee, given.grantor)
WHERE space = 'public'::regnamespace ORDER BY rolname"""
"""Whoever the dump names. They belong to the cluster, so no dump of a database holds them."""
KEYS = """
SELECT id, tenant_id::text AS tenant, user_id AS "user", scopes, tools, resources, prompts, created_at, expires_at,
       revoked_at, last_used_at, rotated_from FROM api_keys ORDER BY created_at, id"""


@dataclass(frozen=True, slots=True)
class Backup:
    """Two files side by side. `left_out` names tables whose rows the role may not read."""

    dump: Path
    left_out: tuple[str, ...] = ()

    @property
    def manifest(self) -> Path:
        return self.dump.with_suffix(MANIFEST)


async def make(dsn: str, folder: Path) -> Backup:
    """Dump the database into the folder, readable by us alone. Raises `StorageError`, `BackupError`."""
    now = datetime.now(UTC)
    facts = await _facts(dsn)
    backup = Backup(folder / f"{PREFIX}{now:{STAMP}}{DUMP}", tuple(facts["left_out"]))
    program = find_program("pg_dump", facts["server_version"] // 10_000)
    without = [f"--exclude-table-data={table}" for table in backup.left_out]
    with _appearing(backup.dump) as partial:
        await run(program, dsn, "--format=custom", "--compress=6", "--no-owner", f"--file={partial}", *without)
    write_manifest(backup, facts | {"created_at": now, "version": __version__, "sha256": digest(backup.dump)})
    return backup


@contextmanager
def _appearing(file: Path) -> Iterator[Path]:
    """A private file to write to, which gets the name `file` when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    try:
        yield partial
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


def write_manifest(backup: Backup, facts: dict[str, Any]) -> None:
    backup.manifest.touch(mode=0o600)
    backup.manifest.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")


def read_manifest(backup: Backup) -> dict[str, Any]:
    """Raises `BackupError` where there is none that can be read."""
    try:
        facts: dict[str, Any] = msgspec.json.decode(backup.manifest.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise BackupError(f"{backup.manifest} cannot be read: {error}") from None
    return facts


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def rotate(folder: Path, keep: timedelta) -> list[Path]:
    """Delete backups older than `keep`, but never the newest; answers the dumps that went."""
    found = sorted(_dumps(folder))
    oldest = datetime.now(UTC) - keep
    gone = [dump for made, dump in found[:-1] if made < oldest]
    for dump in gone:
        dump.unlink()
        Backup(dump).manifest.unlink(missing_ok=True)
    return gone


def _dumps(folder: Path) -> Iterator[tuple[datetime, Path]]:
    for path in folder.glob(f"{PREFIX}*{DUMP}"):
        try:
            made = datetime.strptime(path.stem.removeprefix(PREFIX), STAMP)
        except ValueError:  # not a name of ours
            continue
        yield made.replace(tzinfo=UTC), path


async def _facts(dsn: str) -> dict[str, Any]:
    connection = await connect(dsn)
    try:
        settings = {row["name"]: msgspec.Raw(row["value"].encode()) for row in await connection.fetch(SETTINGS)}
        return {
            "server_version": int(await connection.fetchval("SHOW server_version_num")),
            "left_out": [row[0] for row in await connection.fetch(BOUND)],
            "roles": [row[0] for row in await connection.fetch(ROLES)],
            "settings": settings,
            "keys": [dict(row) for row in await connection.fetch(KEYS)],
        }
    finally:
        await connection.close()
