"""Chores that replicas do once between them, and the report of what the audit tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from gatelodge.audit.ledger import append, chain, lock_heads
from gatelodge.audit.record import Record
from gatelodge.maintenance.chores import CHORES, Chore, Place
from gatelodge.maintenance.report import report
from gatelodge.maintenance.schedule import last_runs, run_due
from gatelodge.storage.postgres import create_pool
from gatelodge.testing import OpenGatelodge

from .processes import command

TENANT = UUID(int=5)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(database) as pool:
        yield pool


async def _write(connection: asyncpg.Connection, when: datetime, *calls: tuple[str, str, float]) -> None:
    """Audit rows of that time, as `(tool, outcome, duration in ms)`."""
    async with connection.transaction():
        await connection.execute("SELECT audit_logs_create_partition($1)", when.date())
        heads, _ = await lock_heads(connection, [TENANT])
        records = [
            Record(
                tenant=TENANT, kind="event", request_id="r", user="u", tool=t, action="tool", outcome=o, duration_ms=d
            )
            for t, o, d in calls
        ]
        await append(connection, *chain(heads, records, when))


def _place(connection: asyncpg.Connection, archive: Path | None = None) -> Place:
    return Place(connection=connection, retention=timedelta(days=90), archive=archive, signer=None)


async def test_old_months_are_counted_archived_and_dropped(database: str, pool: asyncpg.Pool, tmp_path: Path) -> None:
    """The daily numbers outlive the rows, the rows are in a file, and the chain that is left still verifies."""
    old = datetime.now(UTC) - timedelta(days=200)
    async with pool.acquire() as connection:
        await _write(connection, old, ("jira.search", "ok", 10.0), ("jira.search", "timeout", 30.0))
        await _write(connection, datetime.now(UTC), ("jira.search", "ok", 5.0))
    archive = tmp_path / "archive"
    status, out, _ = await command("maintenance", "run", DATABASE_URL=database, GATELODGE_ARCHIVE_DIR=str(archive))
    assert status == 0, out
    month = f"audit_logs_{old:%Y_%m}"
    assert [file.name for file in archive.iterdir()] == [f"{month}.ndjson.gz"]
    assert await pool.fetchval("SELECT to_regclass($1)", month) is None
    daily = await pool.fetch("SELECT day, calls, errors, p50_ms, max_ms FROM call_metrics_daily")
    assert [tuple(row) for row in daily] == [(old.date(), 2, 1, 20.0, 30.0)]
    status, out, _ = await command("audit", "verify", DATABASE_URL=database)
    assert status == 0, out
    status, out, _ = await command("maintenance", "status", DATABASE_URL=database)
    assert out.count("ok    ") == len(CHORES)


async def test_without_a_folder_nothing_is_dropped(pool: asyncpg.Pool) -> None:
    """A month is never dropped unless it is kept somewhere else."""
    old = datetime.now(UTC) - timedelta(days=200)
    async with pool.acquire() as connection:
        await _write(connection, old, ("jira.search", "ok", 10.0))
    runs = {run.name: run for run in await run_due(pool, _place) or ()}
    assert "GATELODGE_ARCHIVE_DIR" in runs["audit_archive"].detail
    assert await pool.fetchval("SELECT count(*) FROM audit_logs") == 1


async def test_expired_keys_go_and_unknown_outcomes_stay(pool: asyncpg.Pool) -> None:
    """A key whose outcome nobody knows is never free again by the passing of time."""
    for key, state in (("old", "done"), ("lost", "unknown")):
        await pool.execute(
            "INSERT INTO idempotency_keys"
            " (tenant_id, tool, key, fingerprint, state, request_id, lease_until, expires_at)"
            " VALUES ($1, 't', $2, '', $3, 'r', now(), now() - interval '1 day')",
            TENANT,
            key,
            state,
        )
    await run_due(pool, _place)
    assert [row["key"] for row in await pool.fetch("SELECT key FROM idempotency_keys")] == ["lost"]


async def test_replicas_do_a_chore_once(pool: asyncpg.Pool) -> None:
    """While one is at it the others pass, and what is done is not done again before its time."""
    done: list[str] = []
    begun, released = asyncio.Event(), asyncio.Event()

    async def slow(place: Place) -> str:
        begun.set()
        await released.wait()
        done.append("slow")
        return "done"

    chores = [Chore("slow", slow)]
    first = asyncio.create_task(run_due(pool, _place, interval=60, chores=chores))
    await begun.wait()
    assert await run_due(pool, _place, interval=60, chores=chores) is None
    released.set()
    assert [run.ok for run in await first or ()] == [True]
    assert await run_due(pool, _place, interval=60, chores=chores) == []
    assert done == ["slow"]


async def test_a_chore_that_fails_keeps_none_of_the_others(pool: asyncpg.Pool) -> None:
    """It is recorded with its reason, and those after it are done."""

    async def fail(place: Place) -> str:
        raise OSError("no space left")

    async def work(place: Place) -> str:
        return "worked"

    await run_due(pool, _place, chores=[Chore("a", fail), Chore("b", work)])
    runs = await last_runs(pool)
    assert [(run.name, run.ok, run.detail) for run in runs] == [
        ("a", False, "OSError: no space left"),
        ("b", True, "worked"),
    ]


async def test_a_server_does_its_chores_and_says_so(open_gatelodge: OpenGatelodge) -> None:
    """Health shows them, and would not take the server out of service for one that is late."""
    gate = await open_gatelodge(GATELODGE_MAINTENANCE_INTERVAL="0.05")
    async with asyncio.timeout(20):
        while True:
            async with gate.session.get(f"{gate.url}/health/ready") as reply:
                checks = {check["name"]: check for check in (await reply.json())["checks"]}
            if checks["maintenance"].get("detail") == f"{len(CHORES)} chores done":
                break
            await asyncio.sleep(0.05)
    assert checks["maintenance"]["critical"] is False


async def test_the_report_names_what_is_slow_what_fails_and_who_calls(database: str, pool: asyncpg.Pool) -> None:
    """Tools and templates by their 95th percentile, errors by code, tenants by calls."""
    async with pool.acquire() as connection:
        calls = [("jira.search", "ok", 5.0), ("jira.create_issue", "upstream_5xx", 900.0), ("sql.a", "replayed", 50.0)]
        await _write(connection, datetime.now(UTC), *calls, ("jira.search", "ok", 7.0))
    found = await report(pool)
    assert [row["tool"] for row in found.tools] == ["jira.create_issue", "jira.search"]
    assert [row["tool"] for row in found.templates] == ["sql.a"]
    assert found.errors == [{"outcome": "upstream_5xx", "calls": 1}]
    assert (found.calls, found.error_rate) == (4, 0.25)
    assert [(row["tenant"], row["calls"], row["users"]) for row in found.tenants] == [(str(TENANT), 4, 1)]
    status, out, _ = await command("report", "--json", DATABASE_URL=database)
    assert (status, json.loads(out)["calls"]) == (0, 4)
    status, out, _ = await command("report", DATABASE_URL=database)
    assert "4 calls, 25.0% failed" in out
