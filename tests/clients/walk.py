"""One story through all fourteen tools, compared with what the sandbox Jira and Postgres hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from gatelodge import LOCAL_TENANT
from gatelodge_sql.work_items import SET_TENANT

from .conftest import World

CallTool = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
TOOLS = {
    "jira.add_comment",
    "jira.create_issue",
    "jira.get_issue",
    "jira.link_issues",
    "jira.list_transitions",
    "jira.search",
    "jira.transition_issue",
    "jira.update_issue",
    "sql.get_issue_history",
    "sql.get_project_metrics",
    "sql.get_user_workload",
    "sql.lead_time_metrics",
    "sql.search_issues_by_project",
    "sql.search_issues_by_text",
}


async def walk(call: CallTool, world: World) -> None:
    """Call every tool and compare each answer with its source."""
    await _jira(call, world)
    await _sql(call, world)


async def _jira(call: CallTool, world: World) -> None:
    open_in_pay = {issue.key for issue in world.story.issues if issue.project == "PAY" and issue.category != "done"}
    assert await _search_all(call, "project = PAY AND statusCategory != Done") == open_in_pay

    key = (await call("jira.create_issue", _new_issue()))["issue_key"]
    stored = await _stored(world, key)
    assert stored["summary"] == "Card form freezes"
    assert stored["priority"]["name"] == "High"
    assert stored["description"]["content"][0]["type"] == "heading"

    await call("jira.update_issue", {"issue_key": key, "fields": {"labels": ["checkout"], "Story Points": 5}})
    assert (await _stored(world, key))["labels"] == ["checkout"]

    comment = await call("jira.add_comment", {"issue_key": key, "body": "Seen on **4.2**."})
    assert comment["comment_id"] in {item["id"] for item in (await _stored(world, key))["comment"]["comments"]}

    link = await call("jira.link_issues", {"source": key, "link_type": "blocks", "target": "PAY-1"})
    (stored_link,) = (await _stored(world, key))["issuelinks"]
    assert (stored_link["id"], stored_link["outwardIssue"]["key"]) == (link["link_id"], "PAY-1")

    ways = (await call("jira.list_transitions", {"issue_key": key}))["transitions"]
    assert "In Progress" in {way["to_status"] for way in ways}
    moved = await call("jira.transition_issue", {"issue_key": key, "to_status": "In Progress"})
    assert moved["from_status"] == "To Do"
    assert (await _stored(world, key))["status"]["name"] == "In Progress"

    read = await call("jira.get_issue", {"issue_key": key, "expand": ["comments", "changelog", "transitions"]})
    assert read["fields"]["status"] == {"name": "In Progress", "category": "indeterminate"}
    assert read["comments"]["newest_first"][0]["body"] == "Seen on **4.2**."


def _new_issue() -> dict[str, Any]:
    return {
        "project_key": "PAY",
        "issue_type": "Bug",
        "summary": "Card form freezes",
        "description": "## Steps\n\n1. Pay\n2. Wait",
        "fields": {"priority": "High"},
    }


async def _search_all(call: CallTool, jql: str) -> set[str]:
    keys: set[str] = set()
    arguments: dict[str, Any] = {"query": jql, "limit": 100, "fields": ["summary"]}
    while True:
        page = await call("jira.search", arguments)
        keys |= {issue["key"] for issue in page["issues"]}
        if page["cursor"] is None:
            return keys
        arguments = {**arguments, "cursor": page["cursor"]}


async def _stored(world: World, key: str) -> dict[str, Any]:
    """The fields as the sandbox itself shows them."""
    url = f"{world.jira.url}/rest/api/3/issue/{key}"
    async with aiohttp.ClientSession() as session, session.get(url, params={"fields": "*all"}) as reply:
        return dict((await reply.json())["fields"])


async def _sql(call: CallTool, world: World) -> None:
    issue = next(item for item in world.story.issues if item.project == "WEB" and len(item.changes) >= 3)

    page = await call("sql.search_issues_by_project", {"project_key": "WEB", "status": "Done", "limit": 10})
    assert {row["status"] for row in page["rows"]} == {"Done"}
    assert len(page["rows"]) == 10

    history = await call("sql.get_issue_history", {"issue_key": issue.key, "limit": 500})
    assert [row["to_status"] for row in history["rows"]] == [change.after for change in issue.changes]

    found = await call("sql.search_issues_by_text", {"query": issue.summary, "project_keys": ["WEB"], "limit": 100})
    assert issue.summary in {row["title"] for row in found["rows"]}

    metrics = await call("sql.get_project_metrics", {"project_key": "WEB", "days": 30})
    counted = await _ask(
        world,
        "SELECT sum(created)::int FROM work_item_metrics_daily WHERE project_key = 'WEB' AND day > current_date - 30",
    )
    assert sum(row["created"] for row in metrics["rows"]) == counted

    workload = await call("sql.get_user_workload", {"assignee": "Ada Novak"})
    held = await _ask(
        world, "SELECT count(*)::int FROM work_items WHERE assignee = 'Ada Novak' AND status_category <> 'done'"
    )
    assert sum(row["issues"] for row in workload["rows"]) == held

    lead = await call("sql.lead_time_metrics", {"project_key": "WEB", "days": 90})
    assert lead["row_count"] == len(lead["rows"]) > 0


async def _ask(world: World, question: str) -> Any:
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute(SET_TENANT, str(LOCAL_TENANT))
        return await connection.fetchval(question)
