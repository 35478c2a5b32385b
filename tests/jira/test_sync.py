"""`gatelodge jira sync` tells the tables what the Jira tells."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import asyncpg
import pytest

from gatelodge import LOCAL_TENANT
from gatelodge.storage.postgres import create_pool
from gatelodge_jira.sandbox import Story, sandbox
from gatelodge_jira.sandbox.server import Flavour
from gatelodge_sql import demo
from gatelodge_sql.work_items import SET_TENANT


@pytest.mark.parametrize("flavour", ["cloud", "datacenter"])
async def test_tables_filled_from_jira_are_those_of_the_story(database: str, story: Story, flavour: Flavour) -> None:
    """Issues and transitions read over HTTP are, row by row, what the demo story puts there by itself."""
    pool = await create_pool(database)
    try:
        async with sandbox(story, flavour=flavour) as jira:
            said = await run(database, jira.url, "--project", "OPS", "--project", "WEB")
        assert said.startswith("read 1500 issues")
        synced = await rows(pool)
        await demo.fill(pool, LOCAL_TENANT, story.today)
        told = await rows(pool)
    finally:
        await pool.close()
    assert synced == told


async def run(database: str, url: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gatelodge",
        "jira",
        "sync",
        *options,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database, "JIRA_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return said.decode()


async def rows(pool: asyncpg.Pool) -> list[Any]:
    """All but what names the instance, of two projects."""
    items = """
        SELECT issue_key, issue_type, title, status, status_category, priority, assignee, reporter, team, labels,
               story_points, created_at, updated_at, resolved_at
          FROM work_items WHERE project_key IN ('OPS', 'WEB') ORDER BY issue_key
    """
    moves = """
        SELECT issue_key, from_status, to_status, author, at
          FROM work_item_transitions WHERE issue_key ~ '^(OPS|WEB)-' ORDER BY issue_key, at
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SET_TENANT, str(LOCAL_TENANT))
        return [*await connection.fetch(items), *await connection.fetch(moves)]
