"""A hundred creates with one key over two real servers and the sandbox Jira, one of the servers killed while Jira acts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg

from gatelodge.audit.verify import verify
from gatelodge_jira.sandbox import SEED, generate, sandbox

from ..operations.processes import serving

CALLS = 100
KEY = {"Idempotency-Key": "the-one"}
NEW = {"project_key": "PAY", "issue_type": "Bug", "summary": "Only once, whatever happens"}
CREATE = "POST /rest/api/3/issue$"
SETTINGS = {"GATELODGE_IDEMPOTENCY_LEASE": "1", "GATELODGE_MAX_CALLS": "0", "MCP_RATE_LIMIT_ENABLED": "false"}


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
    """As a client that tries again while the call of another still runs."""
    while (said := await create(session, url)) == "conflict":  # noqa: ASYNC110 another process sets no event of ours
        await asyncio.sleep(0.2)
    return said


async def test_one_issue_though_a_server_dies_while_jira_makes_it(database: str) -> None:
    """Callers of both servers hear of one and the same issue, the audit is whole, and Jira has one more than before."""
    async with sandbox(generate(SEED, datetime.now(UTC).date())) as jira:
        before = len(jira.site.issues)
        settings = {"DATABASE_URL": database, "JIRA_URL": jira.url, **SETTINGS}
        async with (
            serving(**settings) as victim,
            serving(**settings) as survivor,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            jira.drop_next(match=CREATE, after=True)  # the issue is made, but nobody is told
            jira.delay(1.0, match=CREATE)
            calls = [asyncio.create_task(settled(session, victim.url)) for _ in range(CALLS // 2)]
            await jira.arrival(CREATE)
            calls += [asyncio.create_task(settled(session, survivor.url)) for _ in range(CALLS // 2)]
            victim.process.kill()
            told = set(await asyncio.gather(*calls)) - {"gone"}
            told.add(await settled(session, survivor.url))
        made = [issue.key for issue in jira.site.issues.values() if issue.values["summary"] == NEW["summary"]]
        assert len(jira.site.issues) == before + len(made)
    assert len(made) == 1
    assert told == set(made)
    connection = await asyncpg.connect(database)
    try:
        assert [verdict.fault async for verdict in verify(connection)] == [None]
    finally:
        await connection.close()
