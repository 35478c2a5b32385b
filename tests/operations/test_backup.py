"""Backups: whole, verified, private, and back in a database from which everything was lost."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from gatelodge.backup.making import DUMP, PREFIX, STAMP, rotate
from gatelodge.backup.programs import BackupError, find_program
from gatelodge.backup.restoring import NEW_SCHEMA
from gatelodge.testing import OpenGatelodge

from .processes import command

WRITE = {"project_key": "OPS", "issue_type": "Task", "summary": "kept", "idempotency_key": "once"}


async def _fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def _backup(folder: Path, **settings: str) -> tuple[Path, str]:
    status, out, err = await command("backup", "--to", str(folder), **settings)
    assert status == 0, err
    (dump,) = await asyncio.to_thread(lambda: list(folder.glob(f"*{DUMP}")))
    return dump, out + err


async def _destroy(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(NEW_SCHEMA)
    await connection.close()


async def test_what_was_destroyed_is_restored(
    open_gatelodge: OpenGatelodge, database: str, superuser: str, tmp_path: Path
) -> None:
    """Audit, keys, settings and idempotency are back; the chain verifies, and a retry still gets its first result."""
    gate = await open_gatelodge()
    created = await gate.call("jira.create_issue", **WRITE)
    await command("keys", "create", "--user", "ada", "--scope", "jira:read", DATABASE_URL=database)
    await command("settings", "set", "audit_retention_days", "30", DATABASE_URL=database)
    dump, said = await _backup(tmp_path / "b", DATABASE_URL=database, GATELODGE_BACKUP_URL=superuser)
    assert "verified" in said
    before = await _fetch(database, "SELECT seq, hash FROM audit_logs ORDER BY tenant_id, seq")
    await _destroy(database)
    status, _, err = await command("restore", str(dump), DATABASE_URL=database)
    assert status == 0, err
    assert await _fetch(database, "SELECT seq, hash FROM audit_logs ORDER BY tenant_id, seq") == before
    status, out, _ = await command("audit", "verify", DATABASE_URL=database)
    assert status == 0
    assert "whole" in out
    restarted = await open_gatelodge()
    assert await restarted.call("jira.create_issue", **WRITE) == created
    status, out, _ = await command("keys", "list", DATABASE_URL=database)
    assert "ada" in out


async def test_the_manifest_says_what_is_in_it_and_no_secret(database: str, tmp_path: Path) -> None:
    """Settings and the keys' metadata are readable, a key is not, and nobody else may read the files."""
    _, key, _ = await command("keys", "create", "--user", "ada", "--scope", "jira:read", DATABASE_URL=database)
    await command("settings", "set", "audit_retention_days", "30", DATABASE_URL=database)
    dump, said = await _backup(tmp_path / "b", DATABASE_URL=database)
    assert "without the rows of work_items" in said
    text = dump.with_suffix(".json").read_text()
    facts = json.loads(text)
    assert facts["settings"] == {"audit_retention_days": 30}
    assert [item["user"] for item in facts["keys"]] == ["ada"]
    assert facts["verified"] is True
    assert facts["rows"]["api_keys"] == 1
    assert key.strip() not in text
    assert "hash" not in facts["keys"][0]
    for file in (dump, dump.with_suffix(".json")):
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


async def test_a_database_in_use_is_not_overwritten_by_mistake(database: str, tmp_path: Path) -> None:
    """Tables that are there are dropped only when that is asked for."""
    dump, _ = await _backup(tmp_path / "b", DATABASE_URL=database)
    status, _, said = await command("restore", str(dump), DATABASE_URL=database)
    assert status == 2
    assert "--replace" in said
    status, _, said = await command("restore", str(dump), "--replace", DATABASE_URL=database)
    assert status == 0, said


async def test_a_damaged_backup_is_refused_before_anything_is_dropped(database: str, tmp_path: Path) -> None:
    """One changed byte is enough."""
    dump, _ = await _backup(tmp_path / "b", DATABASE_URL=database)
    whole = bytearray(dump.read_bytes())
    whole[len(whole) // 2] ^= 1
    dump.write_bytes(whole)
    status, _, said = await command("restore", str(dump), "--replace", DATABASE_URL=database)
    assert status == 2
    assert "not whole" in said
    assert await _fetch(database, "SELECT to_regclass('audit_logs')::text AS name") == [("audit_logs",)]


async def test_the_embedded_database_is_backed_up_whole(data_dir: Path, tmp_path: Path) -> None:
    """Without any setting, rows of every tenant included; and restored into another data folder."""
    await command("tools", "call", "jira.search", '{"jql": "project = OPS"}', GATELODGE_DATA_DIR=str(data_dir))
    dump, said = await _backup(tmp_path / "b", GATELODGE_DATA_DIR=str(data_dir))
    assert "without the rows" not in said
    other = data_dir.with_name(data_dir.name + "x")
    status, _, said = await command("restore", str(dump), GATELODGE_DATA_DIR=str(other))
    assert status == 0, said
    status, out, _ = await command("audit", "verify", GATELODGE_DATA_DIR=str(other))
    assert (status, "whole" in out) == (0, True)


def test_old_backups_go_and_the_newest_stays(tmp_path: Path) -> None:
    """However old: a month without backups must not delete the last one. Other files are left alone."""
    now = datetime.now(UTC)
    names = [f"{PREFIX}{now - timedelta(days=days):{STAMP}}{DUMP}" for days in (80, 50, 31)]
    for name in [*names, "mine.dump", "gatelodge_notes.dump"]:
        (tmp_path / name).touch()
    assert [path.name for path in rotate(tmp_path, timedelta(days=30))] == names[:2]
    assert {path.name for path in tmp_path.iterdir()} == {names[2], "mine.dump", "gatelodge_notes.dump"}


def test_a_dump_program_that_is_too_old_is_not_used() -> None:
    """The line says what to install."""
    with pytest.raises(BackupError, match="postgresql-client-99"):
        find_program("pg_dump", 99)
