"""`gatelodge audit`: reading, proving, anchoring and putting away, as an operator types it."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from click.testing import CliRunner

from gatelodge.audit.anchors import Signer, anchor_heads, anchor_line, anchor_of, is_signed
from gatelodge.audit.archive import prune, read_file
from gatelodge.audit.journal import NOBODY
from gatelodge.audit.ledger import append, chain, lock_heads
from gatelodge.audit.record import Record
from gatelodge.audit.verify import Check
from gatelodge.cli import cli
from gatelodge.cli.database import operator

from ..governed import Gate, Upstream

ONE, TWO = UUID(int=1), UUID(int=2)


@dataclass(frozen=True, slots=True)
class Command:
    dsn: str

    async def __call__(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """What `gatelodge audit …` prints; on a failure, what it says of it."""
        environment = {"DATABASE_URL": self.dsn, "GATELODGE_SECRET_KEY": "s" * 32} | variables
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", *arguments], env=environment)
        assert done.exit_code == status, done.output
        return done.output

    async def rows(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self(*arguments)).splitlines()]


@pytest.fixture
def audit(database: str) -> Command:
    return Command(database)


def back(months: int) -> str:
    """The month so long ago, as YYYY-MM."""
    day = datetime.now(UTC).date().replace(day=15) - timedelta(days=30 * months)
    return f"{day:%Y-%m}"


async def fill(dsn: str, months: dict[str, int], tenants: tuple[UUID, ...] = (ONE, TWO)) -> None:
    """So many rows for each tenant in each month, all in their chains."""
    connection = await asyncpg.connect(dsn)
    try:
        for month, count in months.items():
            moment = datetime.fromisoformat(f"{month}-15T12:00:00+00:00")
            await connection.execute("SELECT audit_logs_create_partition($1)", moment.date())
            async with connection.transaction():
                heads, _ = await lock_heads(connection, tenants)
                said = [
                    Record(tenant=tenant, kind="event", request_id=f"{month}-{n}", arguments='{"x": 1.50}')
                    for tenant in tenants
                    for n in range(count)
                ]
                await append(connection, *chain(heads, said, moment))
    finally:
        await connection.close()


async def harm(superuser: str, statement: str) -> None:
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(f"SET session_replication_role = replica; {statement}")
    finally:
        await connection.close()


async def test_rows_are_found_and_exported(audit: Command, gate: Gate, upstream: Upstream, tmp_path: Path) -> None:
    """Tail shows the newest, search what fits all options, export everything; each line is a row as JSON."""
    for number in range(3):
        await gate.add(f"w{number}", f"k{number}", request_id=f"r{number}")
    await gate.call("counter.find", {"name": "nothing"}, request_id="r9")
    await gate.flushed()
    assert [(row["kind"], row["request_id"]) for row in await audit.rows("tail", "-n", "3")] == [
        ("intent", "r2"),
        ("outcome", "r2"),
        ("event", "r9"),
    ]
    found = await audit.rows("search", "--outcome", "ok", "--idempotency-key", "k1", "--since", "2026-01-01")
    assert [(row["tool"], row["after"]) for row in found] == [("counter.add", {"number": 2})]
    assert await audit.rows("search", "--until", "2020-01-01") == []
    file = tmp_path / "out.ndjson"
    await audit("export", "--out", str(file))
    assert [row.seq for row in read_file(file)] == list(range(1, 8))


async def test_a_harmed_chain_fails_verification(audit: Command, database: str, superuser: str, tmp_path: Path) -> None:
    """The first bad row is named, exit status 1; the other chain is said to be whole; a file is checked alike."""
    await fill(database, {back(0): 5})
    assert (await audit("verify")).count("whole, 5 rows to number 5") == 2
    file = tmp_path / "out.ndjson"
    await audit("export", "--out", str(file))
    assert "whole" in await audit("verify", "--archive", str(file))
    file.write_text(file.read_text().replace('-3"', '-7"'))
    assert f"{ONE}: row 4 is edited" in await audit("verify", "--archive", str(file), status=1)
    await harm(superuser, f"UPDATE audit_logs SET request_id = 'x' WHERE seq = 4 AND tenant_id = '{TWO}'")
    told = await audit("verify", status=1)
    assert f"{ONE}: whole" in told
    assert f"{TWO}: row 4 is edited" in told


async def test_an_anchor_gives_a_cut_chain_away(audit: Command, database: str, superuser: str, tmp_path: Path) -> None:
    """Who cuts the end off, sets the head back and removes the anchors is found by the lines kept elsewhere."""
    await fill(database, {back(0): 5})
    file = tmp_path / "anchors"
    file.write_text(await audit("anchor"))
    assert len(file.read_text().splitlines()) == 2
    await audit("verify", "--anchors", str(file))
    await harm(
        superuser,
        f"""DELETE FROM audit_logs WHERE seq > 3; DELETE FROM audit_anchors;
        UPDATE audit_heads h SET seq = 3, hash = (SELECT hash FROM audit_logs l WHERE seq = 3 AND
        l.tenant_id = h.tenant_id) WHERE tenant_id IN ('{ONE}', '{TWO}')""",
    )
    assert (await audit("verify")).count("whole, 3 rows") == 2
    assert "row 4 is truncated" in await audit("verify", "--anchors", str(file), status=1)
    key = Signer("s" * 32).public_key.hex()
    assert "row 4" in await audit(
        "verify", "--anchors", str(file), "--public-key", key, status=1, GATELODGE_SECRET_KEY="other" * 8
    )


async def test_anchors_of_others_are_refused(audit: Command, database: str, tmp_path: Path) -> None:
    """A forged or changed anchor, and one that is none, each with one line."""
    await fill(database, {back(0): 2})
    connection = await asyncpg.connect(database)
    try:
        anchors = await anchor_heads(connection, Signer("s" * 32))
        assert await anchor_heads(connection, Signer("s" * 32), TWO)
    finally:
        await connection.close()
    anchor = anchors[0]
    trusted = [Signer("s" * 32).public_key]
    assert anchor_of(anchor_line(anchor)) == anchor
    assert is_signed(anchor, trusted)
    for changed in (replace(anchor, seq=1), replace(anchor, hash=bytes(32)), replace(anchor, reason="prune")):
        assert not is_signed(changed, trusted)
    assert not is_signed(anchor, [Signer("other").public_key])
    file = tmp_path / "anchors"
    file.write_bytes(anchor_line(replace(anchor, seq=1)))
    assert "is not signed" in await audit("verify", "--anchors", str(file), status=1)
    file.write_text("{}")
    assert "not an anchor" in await audit("verify", "--anchors", str(file), status=1)
    assert "GATELODGE_SECRET_KEY" in await audit("anchor", status=1, GATELODGE_SECRET_KEY="")


async def test_old_months_are_archived_and_dropped(audit: Command, database: str, tmp_path: Path) -> None:
    """Whole months alone; what is left verifies from the anchor on, and the files hold what was dropped."""
    oldest, older = (f"audit_logs_{back(n).replace('-', '_')}" for n in (10, 8))
    await fill(database, {back(10): 3, back(8): 2, back(0): 4})
    days = (datetime.now(UTC).date() - date.fromisoformat(f"{back(8)}-15")).days
    assert f"{oldest}: 6 rows" in await audit("prune", "--days", str(days), "--archive", str(tmp_path))
    assert os.listdir(tmp_path) == [f"{oldest}.ndjson.gz"]
    assert (await audit("verify")).count("whole, 6 rows to number 9") == 2
    await audit("prune", "--days", "1", "--archive", str(tmp_path))
    assert (await audit("verify")).count("whole, 4 rows to number 9") == 2
    assert "whole" in await audit("verify", "--archive", str(tmp_path / f"{older}.ndjson.gz"))


async def test_a_pruned_chain_is_still_guarded(database: str, superuser: str, audit: Command, tmp_path: Path) -> None:
    """Neither the first row after a dropped month nor the anchor it follows can be changed unseen."""
    await fill(database, {back(9): 3, back(0): 3})
    connection = await asyncpg.connect(database)
    try:
        dropped = [month async for month in prune(connection, tmp_path, timedelta(days=30), Signer("s" * 32))]
    finally:
        await connection.close()
    assert [month.rows for month in dropped if month.rows] == [6]
    check = Check()
    assert [check.row(row) for row in read_file(dropped[0].file) if row.record.tenant == ONE] == [None] * 3
    assert "whole" in await audit("verify")
    await harm(superuser, "UPDATE audit_anchors SET seq = seq + 1")
    assert "is not signed by this server" in await audit("verify", status=1)
    await harm(superuser, "UPDATE audit_anchors SET seq = seq - 1; DELETE FROM audit_logs WHERE seq = 4")
    assert "row 4 is removed" in await audit("verify", status=1)


async def gatelodge(dsn: str, *arguments: str, given: str | None = None) -> str:
    """What a command prints on stdout."""
    environment = {"DATABASE_URL": dsn}
    done = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment, input=given)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_what_an_operator_does_is_written_down(database: str, audit: Command) -> None:
    """A key made, rotated and revoked, a setting set, imported and unset: each takes its place in a chain, with who did it."""
    made = await gatelodge(database, "keys", "create", "--tenant", str(ONE), "--user", "ann", "--scope", "jira:read")
    key_id = made.split("_")[1]
    await gatelodge(database, "keys", "rotate", key_id)
    for _ in range(2):
        await gatelodge(database, "keys", "revoke", key_id)
    await gatelodge(database, "settings", "set", "cache_ttl", "5")
    await gatelodge(database, "settings", "import", "-", given='{"confirm": "writes"}')
    await gatelodge(database, "settings", "unset", "cache_ttl")
    keys = await audit.rows("search", "--tenant", str(ONE))
    assert [row["action"] for row in keys] == ["key.created", "key.rotated", "key.revoked"]
    assert {row["detail"]["key"].get("rotated_from", row["detail"]["key"]["id"]) for row in keys} == {key_id}
    settings = await audit.rows("search", "--tenant", str(NOBODY))
    assert [(row["action"], row["detail"]) for row in settings] == [
        ("setting.set", {"setting": "cache_ttl", "value": 5}),
        ("setting.set", {"setting": "confirm", "value": "writes"}),
        ("setting.unset", {"setting": "cache_ttl"}),
    ]
    assert {(row["door"], row["method"], row["user"]) for row in (*keys, *settings)} == {("cli", "cli", operator())}
    assert made.strip() not in json.dumps(keys)
    assert "whole, 3 rows" in await audit("verify")


@pytest.mark.parametrize("option", ["--user", "--tool", "--outcome", "--action", "--request-id", "--idempotency-key"])
async def test_what_is_searched_for_is_no_sql(database: str, audit: Command, option: str) -> None:
    """Quotes, comments and semicolons are characters to be found or not."""
    await fill(database, {back(0): 3}, (ONE,))
    for hostile in ("' OR true --", "x'; DROP TABLE audit_heads; --", "%", "$1", "a\\'b"):
        assert await audit.rows("search", option, hostile) == []
    assert "whole, 3 rows" in await audit("verify")
