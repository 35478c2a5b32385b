"""A hundred calls with one key from two real processes, one of them killed at each step of the write."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from gatelodge.audit.verify import verify

from ..governed import Gate, Upstream, rows, until

ROOT = Path(__file__).parents[2]
CALLS = 50
# The victim's outcome row hangs in Postgres, so that it can be killed before the commit.
HANG = """
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(120); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON audit_logs FOR EACH ROW
WHEN (NEW.kind = 'outcome' AND NEW.request_id = 'before_outcome') EXECUTE FUNCTION hang()"""
HANGING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
EXPECTED = {
    "before_claim": ({"ok 1": 1, "replayed 1": CALLS - 1}, 1),
    "after_claim": ({"outcome_unknown": CALLS}, 0),
    "after_effect": ({"replayed 1": CALLS}, 1),
    "before_outcome": ({"replayed 1": CALLS}, 1),
}
"""What the survivor's callers are told, and how many effects there are."""


async def start(dsn: str, upstream: Upstream, step: str) -> Process:
    """A server process that has begun to call."""
    command = [sys.executable, "-m", "tests.idempotency.replica", dsn, upstream.url, step, str(CALLS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=ROOT)
    assert await line(process) == "calling"
    return process


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def hanging(connection: asyncpg.Connection) -> int:
    """The Postgres process that holds up an outcome row."""
    await until(lambda: connection.fetchval(HANGING))
    return int(await connection.fetchval(HANGING))


async def crash(dsn: str, superuser: str, upstream: Upstream, step: str) -> Counter[str]:
    """Both processes call; the first is killed when it stands at the step. What the other's callers were told."""
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(HANG)
        victim = await start(dsn, upstream, step)
        held_up = await hanging(connection) if step == "before_outcome" else None
        assert held_up or await line(victim) == f"at {step}"
        survivor = await start(dsn, upstream, "survivor")
        victim.kill()
        await victim.wait()
        if held_up:
            await connection.execute("SELECT pg_terminate_backend($1)", held_up)
        told = Counter(json.loads(await line(survivor)))
        await survivor.wait()
        assert [verdict.fault async for verdict in verify(connection)] == [None]
    finally:
        await connection.close()
    return told


@pytest.mark.parametrize("step", EXPECTED)
async def test_one_effect_whenever_a_server_dies(database: str, superuser: str, upstream: Upstream, step: str) -> None:
    """Every caller of the survivor hears the same, there is one effect at most, and the audit tells what happened."""
    told = await crash(database, superuser, upstream, step)
    assert (told, len(upstream.effects)) == EXPECTED[step]
    written = [(row["kind"], row["outcome"], row["request_id"]) for row in await rows(database)]
    winner = "survivor" if step == "before_claim" else step
    assert [row for row in written if row[0] == "intent"] == [("intent", None, winner)]
    outcomes = {row for row in written if row[0] == "outcome"}
    assert outcomes == {("outcome", "outcome_unknown" if step == "after_claim" else "ok", "survivor")}


async def test_an_operator_settles_what_nobody_knows(database: str, superuser: str, upstream: Upstream) -> None:
    """After a crash between claim and effect the CLI lists the key; said not to be done, it is free for a retry."""
    await crash(database, superuser, upstream, "after_claim")
    listed = await gatelodge(database, "idempotency", "list")
    assert [(row["tool"], row["key"], row["state"]) for row in map(json.loads, listed)] == [
        ("counter.add", "k", "unknown")
    ]
    await gatelodge(database, "idempotency", "settle", "counter.add", "k", "--as", "not-done")
    assert await gatelodge(database, "idempotency", "list") == []
    async with Gate(database, upstream.url).open() as gate:
        assert (await gate.add("a", "k")).structured == {"number": 1}
        assert (await gate.add("a", "k")).replayed
    assert upstream.effects == ["a"]
    assert ("idempotency.settle", "ok") in [(row["action"], row["outcome"]) for row in await rows(database)]


async def gatelodge(dsn: str, *arguments: str) -> list[str]:
    """The lines that a command prints."""
    environment = {"DATABASE_URL": dsn, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "gatelodge", *arguments]
    run = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
