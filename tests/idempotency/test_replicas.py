"""A hundred creates with one key over two real servers and the sandbox Jira, one of them killed at each step of the write."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
import pytest

from gatelodge.audit.verify import verify
from gatelodge_jira.sandbox import SEED, Sandbox, generate, sandbox

from ..governed import rows, until
from ..operations.processes import serving

CALLS = 100
KEY = {"Idempotency-Key": "the-one"}
NEW = {"project_key": "PAY", "issue_type": "Bug", "summary": "Only once, whatever happens"}
CREATE, LOOK = "POST /rest/api/3/issue$", "POST /rest/api/3/search/jql$"
SETTINGS = {"GATELODGE_IDEMPOTENCY_LEASE": "1", "GATELODGE_MAX_CALLS": "0", "MCP_RATE_LIMIT_ENABLED": "false"}
TRY_AGAIN = frozenset({"conflict", "disabled"})
# The first row of a kind hangs in Postgres, before its transaction is committed.
HANG = """
CREATE SEQUENCE hangs;
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN IF nextval('hangs') = 1 THEN PERFORM pg_sleep(120); END IF; RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON audit_logs FOR EACH ROW
WHEN (NEW.kind = '{kind}' AND NEW.tool = 'jira.create_issue') EXECUTE FUNCTION hang()"""
HANGING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
STEPS = {
    "before the claim": ("intent", 1),
    "after the claim": (None, 0),
    "after the effect": (None, 1),
    "before the outcome": ("outcome", 1),
}
"""The kind of row that hangs at a step, if one does, and how many issues there are in the end."""


async def create(session: aiohttp.ClientSession, url: str) -> str:
    """The key of the issue, or what went wrong."""
    body = {"name": "jira.create_issue", "arguments": NEW}
    try:
        async with session.post(f"{url}/tools/invoke", json=body, headers=KEY) as reply:
            answer: dict[str, Any] = await reply.json()
    except aiohttp.ClientError:
        return "gone"
    return str(answer["result"]["issue_key"] if "result" in answer else answer["error"]["code"])


async def settled(session: aiohttp.ClientSession, url: str) -> str:
    """As a client that tries again while the call of another still runs, or cannot be recorded."""
    while (said := await create(session, url)) in TRY_AGAIN:  # noqa: ASYNC110 another process sets no event of ours
        await asyncio.sleep(0.2)
    return said


async def reached(step: str, jira: Sandbox, connection: asyncpg.Connection) -> int | None:
    """Wait until the victim stands at the step; the Postgres process that holds it up, where one does."""
    if STEPS[step][0] is None:
        await jira.arrival(CREATE if step == "after the claim" else LOOK)
        return None
    await until(lambda: connection.fetchval(HANGING))
    return int(await connection.fetchval(HANGING))


@pytest.mark.parametrize("step", STEPS)
async def test_one_issue_though_a_server_dies_at_any_step(database: str, superuser: str, step: str) -> None:
    """Callers of both servers hear one and the same thing, the audit is whole and tells what happened, and Jira has at most
    one more issue than before."""
    hanging, count = STEPS[step]
    connection = await asyncpg.connect(superuser)
    async with sandbox(generate(SEED, datetime.now(UTC).date())) as jira:
        before = len(jira.site.issues)
        settings = {"DATABASE_URL": database, "JIRA_URL": jira.url, **SETTINGS}
        async with (
            serving(**settings) as victim,
            serving(**settings) as survivor,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            if hanging:
                await connection.execute(HANG.format(kind=hanging))
            elif step == "after the claim":
                jira.drop_next(match=CREATE)  # nobody is told, and there is nothing to tell
                jira.delay(1.0, match=CREATE)
            else:
                jira.drop_next(match=CREATE, after=True)  # nobody is told
                jira.delay(60.0, match=LOOK)  # so the victim looks, and does not find out in time
            calls = [asyncio.create_task(settled(session, victim.url)) for _ in range(CALLS // 2)]
            held_up = await reached(step, jira, connection)
            calls += [asyncio.create_task(settled(session, survivor.url)) for _ in range(CALLS // 2)]
            victim.process.kill()
            if held_up:
                await connection.execute("SELECT pg_terminate_backend($1)", held_up)
            told = set(await asyncio.gather(*calls)) - {"gone"}
            told.add(await settled(session, survivor.url))
        made = [issue.key for issue in jira.site.issues.values() if issue.values["summary"] == NEW["summary"]]
        assert len(jira.site.issues) == before + len(made)
    assert len(made) == count
    assert told == set(made or ["outcome_unknown"])
    assert [verdict.fault async for verdict in verify(connection)] == [None]
    await connection.close()
    written = [(row["kind"], row["outcome"]) for row in await rows(database) if row["kind"] != "event"]
    assert written.count(("intent", None)) == 1
    assert {row for row in written if row[0] == "outcome"} == {("outcome", "ok" if made else "outcome_unknown")}
