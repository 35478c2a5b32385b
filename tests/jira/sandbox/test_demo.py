"""The analytics tables filled with the demo story, in a real Postgres."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import asyncpg

from gatelodge import LOCAL_TENANT
from gatelodge.storage.postgres import create_pool
from gatelodge_jira.sandbox.story import SEED, Story, generate
from gatelodge_sql import demo
from gatelodge_sql.work_items import SET_TENANT

TODAY = date(2026, 11, 25)


async def test_tables_tell_the_story(database: str) -> None:
    """Empty tables want the story, get all its issues and changes and a day of metrics each, and then want no more."""
    story = generate(SEED, TODAY)
    pool = await create_pool(database)
    try:
        assert await demo.wanted(pool, LOCAL_TENANT, TODAY)
        await demo.fill(pool, LOCAL_TENANT, TODAY)
        await _compare(pool, story)
        assert not await demo.wanted(pool, LOCAL_TENANT, TODAY)
        assert await demo.wanted(pool, LOCAL_TENANT, TODAY + timedelta(days=1))
    finally:
        await pool.close()


async def test_real_rows_are_not_replaced(database: str) -> None:
    """Tables with an issue of a real instance do not want the story, on any day."""
    pool = await create_pool(database)
    try:
        await demo.fill(pool, LOCAL_TENANT, TODAY)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(SET_TENANT, str(LOCAL_TENANT))
            await connection.execute("UPDATE work_items SET instance_id = 'main' WHERE issue_key = 'PAY-1'")
        assert not await demo.wanted(pool, LOCAL_TENANT, TODAY + timedelta(days=1))
    finally:
        await pool.close()


async def _compare(pool: asyncpg.Pool, story: Story) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SET_TENANT, str(LOCAL_TENANT))
        items = await connection.fetch("SELECT issue_key, status, resolved_at FROM work_items")
        assert {tuple(row) for row in items} == {(issue.key, issue.status, issue.resolved) for issue in story.issues}
        changes = await connection.fetch("SELECT issue_key, count(*) AS n FROM work_item_transitions GROUP BY 1")
        told = Counter({issue.key: len(issue.changes) for issue in story.issues if issue.changes})
        assert {row["issue_key"]: row["n"] for row in changes} == told
        ends = await connection.fetch(
            "SELECT project_key, open FROM work_item_metrics_daily WHERE day = $1", story.today
        )
        still = Counter(issue.project for issue in story.issues if issue.resolved is None)
        assert {row["project_key"]: row["open"] for row in ends} == still
