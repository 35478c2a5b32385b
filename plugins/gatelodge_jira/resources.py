"""Issues as resources to attach to a conversation, and what completes their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gatelodge import Call, Resource, Result, TextContents, ToolError

from .failure import invalid
from .instances import Finder, project_of
from .issue import shape_issue
from .tools.shapes import ISSUE_KEY

ISSUE_FIELDS = ("summary", "status", "issuetype", "priority", "assignee", "reporter", "description", "issuelinks")
MOST = 20
"""Suggestions at once."""


def resources(finder: Finder) -> Sequence[Resource]:
    return (
        Resource(
            uri="jira://issue/{key}",
            name="issue",
            title="Jira issue",
            description="An issue as Markdown: its fields, its description, its links.",
            handler=partial(read_issue, finder),
            mime_type="text/markdown",
            complete={"key": partial(complete_issue, finder)},
        ),
    )


async def read_issue(finder: Finder, call: Call) -> Result:
    key = call.arguments["key"]
    if not re.fullmatch(ISSUE_KEY.strip("^$"), key):
        raise invalid("key", "It is a key such as PAY-12.")
    api = await finder.find(replace(call, arguments={}), project_of(key))
    issue = shape_issue(api, await api.issue(key, ISSUE_FIELDS), {})
    return Result(content=(TextContents(call.name, _markdown(issue), "text/markdown"),))


async def complete_issue(finder: Finder, call: Call) -> Sequence[str]:
    """Keys of the newest issues of the project that is typed."""
    typed = call.arguments.get("key", "").upper()
    project, dash, _ = typed.partition("-")
    if not dash:
        return [f"{key}-" for key in await complete_project(finder, call, typed)]
    try:
        api = await finder.find(replace(call, arguments={}), project)
        page = await api.search(f'project = "{project}" ORDER BY updated DESC', ["summary"], 100, None)
    except ToolError:  # what is typed so far names no project: there is nothing to suggest
        return []
    return [issue["key"] for issue in page.issues if issue["key"].startswith(typed)][:MOST]


async def complete_project(finder: Finder, call: Call, typed: str | None = None) -> list[str]:
    """Keys of projects. `typed` defaults to the argument `project`."""
    start = (call.arguments.get("project", "") if typed is None else typed).upper()
    try:
        api = await finder.find(replace(call, arguments={}))
    except ToolError:  # several instances, or none
        return []
    return [key for key in await api.projects() if key.startswith(start)][:MOST]


async def complete_status(finder: Finder, call: Call) -> list[str]:
    """Names of statuses, in any case."""
    start = call.arguments.get("status", "").lower()
    try:
        names = await (await finder.find(replace(call, arguments={}))).statuses()
    except ToolError:  # as for projects
        return []
    return [name for name in names if name.lower().startswith(start)][:MOST]


async def complete_assignee(finder: Finder, call: Call) -> list[str]:
    """Names of users; none before a letter is typed, for a Jira may have any number of them."""
    typed = call.arguments.get("assignee", "").strip()
    if not typed:
        return []
    try:
        return await (await finder.find(replace(call, arguments={}))).people(typed, MOST)
    except ToolError:  # as for projects
        return []


def _markdown(issue: dict[str, Any]) -> str:
    fields = issue["fields"]
    lines = [f"# {issue['key']}: {fields.get('summary', '')}", "", issue["url"], ""]
    for name in ("issuetype", "status", "priority", "assignee", "reporter"):
        value = fields.get(name)
        if value is not None:
            lines.append(f"- {name}: {value['name'] if isinstance(value, dict) else value}")
    for link in fields.get("issuelinks", []):
        lines.append(f"- {link['phrase']} {link['key']} {link.get('summary', '')}".rstrip())
    return "\n".join([*lines, "", fields.get("description", "")]).strip() + "\n"
