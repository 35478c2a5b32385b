"""The scripts of scripts/, run as cron and an operator run them, against a server that runs."""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from gatelodge.testing import Gatelodge, OpenGatelodge

from .certificate import write_certificate
from .fleet import SCRIPTS, script
from .processes import command

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    return await open_gatelodge()


def _urls(gate: Gatelodge) -> list[str]:
    return [part for name, url in gate.urls.items() for part in (f"--{name}", url)]


async def _run(name: str, *options: str, **environment: str) -> tuple[int, str]:
    return await script(str(SCRIPTS / name), *options, **{"PATH": PATH, **environment})


def _environment(folder: Path, **settings: str) -> str:
    """As systemd reads it: comments, quotes, and values that a shell would take for more than text."""
    lines = ["# settings", "", *(f"{name}={value}" for name, value in settings.items())]
    file = folder / "gatelodge.env"
    file.write_text("\n".join(lines))
    return str(file)


@asynccontextmanager
async def _receiver() -> AsyncIterator[tuple[str, list[Any]]]:
    """A webhook, and what it was told."""
    told: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", told
    finally:
        await runner.cleanup()


async def test_a_server_that_is_well_passes(gate: Gatelodge) -> None:
    """Every endpoint of every listener, eight tools and six templates; nobody is told."""
    async with _receiver() as (hook, told):
        status, said = await _run("health_check.sh", *_urls(gate), "--webhook", hook)
    assert status == 0, said
    assert "tools of Jira: 8" in said
    assert "templates of SQL: 6" in said
    for path in ("/health", "/health/ready", "/health/mcp", "/metrics", "/tools", "/api/v1/mcp/session/handshake"):
        for listener in gate.urls:
            assert f"ok      {listener} {path}\n" in said
    assert said.endswith("all well\n")
    assert told == []


async def test_a_server_that_is_away_fails_and_somebody_is_told(gate: Gatelodge) -> None:
    """The reason is on the screen and in the webhook."""
    async with _receiver() as (hook, told):
        options = ("--hub", "http://127.0.0.1:1", "--jira", "none", "--sql", gate.urls["sql"], "--templates", "7")
        status, said = await _run("health_check.sh", *options, HEALTH_WEBHOOK=hook)
    assert status == 1
    assert "hub /health: no answer at http://127.0.0.1:1/health" in said
    (message,) = told
    assert "no answer" in message["text"]
    assert "templates of SQL: 6, not 7" in message["text"]


async def test_a_server_that_is_switched_off_fails(gate: Gatelodge, database: str) -> None:
    """Health stays up and says `disabled`, which is not well."""
    await command("settings", "set", "mcp_enabled", "false", DATABASE_URL=database)
    deadline = time.monotonic() + 30
    while "disabled" not in await (await gate.session.get(f"{gate.url}/health/mcp")).text():
        assert time.monotonic() < deadline
    status, said = await _run("health_check.sh", *_urls(gate))
    assert status == 1
    assert "failed  hub /health/mcp" in said
    assert "ok      hub /health\n" in said


async def test_a_key_is_shown_where_one_is_needed(open_gatelodge: OpenGatelodge, tmp_path: Path) -> None:
    """From a file, so that no list of processes shows it."""
    gate = await open_gatelodge(GATELODGE_LOCAL_USER="false", MCP_API_KEY="k" * 32)
    status, said = await _run("health_check.sh", *_urls(gate))
    assert status == 1
    assert "hub /tools: 401" in said
    file = tmp_path / "key"
    file.write_text("k" * 32 + "\n")
    status, said = await _run("health_check.sh", *_urls(gate), "--key-file", str(file))
    assert status == 0, said


@pytest.mark.parametrize(
    "name", ["health_check.sh", "daily.sh", "weekly.sh", "monthly.sh", "rolling_restart.sh", "blue_green.sh"]
)
async def test_each_script_has_a_manual(name: str) -> None:
    """`--help` prints it; an option that is not known prints it too, and fails."""
    status, said = await _run(name, "--help")
    assert status == 0
    assert f"{name} [" in said
    status, _ = await _run(name, "--no-such-option", "x")
    assert status == 2


async def test_daily(gate: Gatelodge, tmp_path: Path, database: str) -> None:
    """Disk, log and health; an error in the log fails the day, and is counted."""
    settings = _environment(tmp_path, DATABASE_URL=database, GATELODGE_CACHE_TTLS="jira.search=30; sql.*=0")
    log = tmp_path / "log"
    lines = [{"level": "info", "event": "call", "service": "gatelodge"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--env", settings, "--log", str(log), "--disk", "100", "--", *_urls(gate))
    status, said = await _run("daily.sh", *options)
    assert status == 0, said
    assert "ok      disk /" in said
    assert "ok      no error in the log" in said
    assert "ok      health" in said
    lines += 2 * [{"level": "error", "event": "audit cannot be written", "service": "gatelodge"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, said = await _run("daily.sh", *options)
    assert status == 1
    assert "2 audit cannot be written" in said


async def test_weekly(gate: Gatelodge, tmp_path: Path, database: str, superuser: str) -> None:
    """A backup that is proven, the audit, the certificate, and old logs that go."""
    await gate.call("jira.create_issue", project_key="OPS", issue_type="Task", summary="kept", idempotency_key="k")
    backups, logs = tmp_path / "backups", tmp_path / "logs"
    settings = _environment(
        tmp_path, DATABASE_URL=database, GATELODGE_BACKUP_URL=superuser, GATELODGE_BACKUP_DIR=f'"{backups}"'
    )
    certificate, _ = write_certificate(tmp_path)
    old, new = _logs(logs)
    options = ("--env", settings, "--certificate", str(certificate), "--logs", str(logs))
    status, said = await _run("weekly.sh", *options, "--days", "0")
    assert status == 0, said
    assert "verified" in said
    assert "whole" in said
    assert "certificate: good until" in said
    assert len(sorted(backups.glob("*.dump"))) == 1
    assert (old.exists(), new.exists()) == (False, True)
    status, said = await _run("weekly.sh", *options)
    assert status == 1
    assert "within 21 days" in said


async def test_monthly(gate: Gatelodge, tmp_path: Path, database: str) -> None:
    """Keys that are due, old months in the archive, and what was slow."""
    await gate.call("jira.search", query="project = OPS")
    for user in ("old", "new"):
        await command("keys", "create", "--user", user, "--scope", "jira:read", DATABASE_URL=database)
    month = await _age(database)
    settings = _environment(tmp_path, DATABASE_URL=database)
    archive = tmp_path / "archive"
    owner = tmp_path / "owner.env"
    owner.write_text(f"GATELODGE_ARCHIVE_DIR={archive}\n")
    status, said = await _run("monthly.sh", "--env", settings, "--owner-env", str(owner))
    assert status == 0, said
    assert "keys due for rotation: 1" in said
    assert "gatelodge keys rotate" in said
    assert "Slowest tools" in said
    with gzip.open(archive / f"{month}.ndjson.gz") as file:
        assert file.read() == b""


async def test_what_fails_does_not_keep_the_rest_from_being_done(tmp_path: Path) -> None:
    """Without a database each step says so, and the last one is still done."""
    settings = _environment(tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    status, said = await _run("monthly.sh", "--env", settings, "--owner-env", "/none")
    assert status == 1
    assert "failed  keys" in said
    assert "failed  chores" in said
    assert "ok      installed" in said
    assert "failed  performance" in said
    assert said.endswith("3 failed\n")


def _logs(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    old, new = folder / "old.log", folder / "new.log"
    for file in (old, new):
        file.touch()
    week = time.time() - 9 * 86400
    os.utime(old, (week, week))
    return old, new


async def _age(database: str) -> str:
    """One of the keys was made long ago, and there is a month that is over; answers its partition."""
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE api_keys SET created_at = now() - interval '200 days' WHERE user_id = 'old'")
    day = (datetime.now(UTC) - timedelta(days=200)).date()
    month = await connection.fetchval("SELECT audit_logs_create_partition($1)", day)
    await connection.close()
    return str(month)
