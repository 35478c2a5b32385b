"""The roles of etc/postgres/roles.sql: enough to work with, and no more."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gatelodge.testing import Cluster, OpenGatelodge

from ..operations.processes import command
from .tools import ETC

ROLES = (ETC / "postgres/roles.sql").read_text()
PASSWORD = "of a test"
REFUSED = asyncpg.InsufficientPrivilegeError


@dataclass(frozen=True, slots=True)
class Deployed:
    """DSNs of one database, by role."""

    owner: str
    server: str
    backup: str
    superuser: str


@pytest.fixture
async def deployed(cluster: Cluster, empty_database: str) -> AsyncIterator[Deployed]:
    """A database set up as an operator does it: the roles, the migrations as their owner, and the roles' rights."""
    name = urlsplit(empty_database).path[1:]
    superuser = cluster.as_superuser(name)
    connection = await asyncpg.connect(superuser)
    await connection.execute(ROLES)
    for role in ("owner", "server", "backup"):
        await connection.execute(f"ALTER ROLE gatelodge_{role} PASSWORD '{PASSWORD}'")
    dsns = {role: _login(superuser, f"gatelodge_{role}") for role in ("owner", "server", "backup")}
    status, _, said = await command("migrate", "up", DATABASE_URL=dsns["owner"])
    assert status == 0, said
    await connection.execute(ROLES)
    yield Deployed(**dsns, superuser=superuser)
    await connection.execute(f"ALTER DATABASE {name} OWNER TO {urlsplit(empty_database).username}")
    await connection.execute("REASSIGN OWNED BY gatelodge_owner TO CURRENT_USER; DROP OWNED BY gatelodge_server")
    await connection.close()


@pytest.fixture
def database(deployed: Deployed) -> str:
    return deployed.server


def _login(dsn: str, role: str) -> str:
    return urlsplit(dsn)._replace(netloc=f"{role}:{PASSWORD.replace(' ', '%20')}@").geturl()


async def _rights(dsn: str) -> dict[str, str]:
    """What the serving role may do with each table: `SIUDT` for select, insert, update, delete, truncate."""
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
    letters = " || ".join(
        f"CASE WHEN has_table_privilege('gatelodge_server', c.oid, '{k}') THEN '{k[0]}' ELSE '' END" for k in kinds
    )
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        f"SELECT relname, {letters} FROM pg_class AS c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    return {row[0]: row[1] for row in rows}


async def test_a_server_needs_no_more_than_its_role_has(open_gatelodge: OpenGatelodge) -> None:
    """It starts, is ready, writes with an intent, reads by templates, and records all of it."""
    gate = await open_gatelodge()
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        assert reply.status == 200, await reply.text()
    write = {"project_key": "OPS", "issue_type": "Task", "summary": "by a role", "idempotency_key": "once"}
    created = await gate.call("jira.create_issue", **write)
    assert await gate.call("jira.create_issue", **write) == created
    await gate.call("sql.get_user_workload", assignee="ada")


async def test_commands_need_no_more_either(deployed: Deployed) -> None:
    """Keys, live settings, the audit's proof, the report and the chores."""
    commands = (
        ("keys", "create", "--user", "ada", "--scope", "jira:read"),
        ("settings", "set", "audit_retention_days", "30"),
        ("maintenance", "run"),
        ("audit", "verify"),
        ("report",),
    )
    for words in commands:
        status, out, said = await command(*words, DATABASE_URL=deployed.server)
        assert status == 0, (words, out, said)


async def test_the_serving_role_cannot_change_the_audit(deployed: Deployed) -> None:
    """Not through the table, nor a partition, nor by becoming another role, nor by switching the trigger off."""
    connection = await asyncpg.connect(deployed.server)
    (partition, *_) = await connection.fetchrow(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass LIMIT 1"
    )
    for table in ("audit_logs", partition):
        for statement in (
            f"UPDATE {table} SET outcome = 'ok'",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table}",
        ):
            with pytest.raises(REFUSED):
                await connection.execute(statement)
    for statement in (
        "DELETE FROM audit_heads",
        "UPDATE audit_anchors SET reason = 'prune'",
        "SET ROLE gatelodge_owner",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (a int)",
        "CREATE OR REPLACE FUNCTION audit_logs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ):
        with pytest.raises(REFUSED):
            await connection.execute(statement)
    await connection.close()


async def test_every_table_is_accounted_for(deployed: Deployed) -> None:
    """One that a migration adds is written by servers only once the file says so."""
    rights = await _rights(deployed.superuser)
    named = set(re.findall(r"'([a-z_]+)'", ROLES))
    ours = {name for name in rights if not name.startswith(("_yoyo", "yoyo"))}
    assert {name for name in ours if not re.fullmatch(r"audit_logs_\d{4}_\d\d", name)} <= named
    assert rights["audit_logs"] == "SI"
    assert rights["audit_heads"] == "SIU"
    assert rights["audit_anchors"] == "SI"
    assert {rights[name] for name in ours if re.fullmatch(r"audit_logs_\d{4}_\d\d", name)} == {"S"}
    assert {rights[name] for name in ours if not name.startswith("audit_")} == {"SIUD"}
    assert {rights[name] for name in rights.keys() - ours} == {"S"}


async def test_the_owner_archives_and_the_backup_role_backs_up(deployed: Deployed, tmp_path: Path) -> None:
    """Each with no right of the others."""
    archive = {"DATABASE_URL": deployed.owner, "GATELODGE_ARCHIVE_DIR": str(tmp_path / "archive")}
    status, out, said = await command("maintenance", "run", **archive)
    assert status == 0, out + said
    backup = {"DATABASE_URL": deployed.server, "GATELODGE_BACKUP_URL": deployed.backup}
    status, out, said = await command("backup", "--to", str(tmp_path / "backups"), **backup)
    assert status == 0, out + said
    assert "verified" in out
    assert "without the rows" not in out + said
    connection = await asyncpg.connect(deployed.backup)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("DELETE FROM settings")
    await connection.execute("SET default_transaction_read_only = off")
    with pytest.raises(REFUSED):
        await connection.execute("DELETE FROM settings")
    await connection.close()
