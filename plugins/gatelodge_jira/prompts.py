"""Prompts a team picks: triage a backlog, write a release note."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gatelodge import Argument, Call, Message, Prompt, Result, Text

from .failure import invalid
from .instances import Finder
from .resources import complete_assignee, complete_project, complete_status
from .tools.shapes import PROJECT_KEY

TRIAGE = """Triage the backlog of the Jira project {project}.

1. Read the issues, oldest first:
   jira.search with the query: project = {project} AND {status} AND {assignee} ORDER BY created
2. For each, judge how urgent it is and how clear. Look for duplicates with sql.search_issues_by_text.
3. Propose, as a table: key, summary, priority now and proposed, a duplicate of, what is missing from the description.
4. Change nothing until I agree. Then use jira.update_issue, jira.link_issues and jira.add_comment, each with an
   idempotency_key, and show me the dry_run first."""

RELEASE_NOTE = """Write a release note for the Jira project {project}, of what was finished in the last {days} days.

1. Read it: jira.search with the query: project = {project} AND statusCategory = Done AND resolved >= -{days}d
   and follow the cursor to the end.
2. Group by new, improved and fixed, in words a customer understands; leave out what no customer sees.
3. Name the issue keys at the end of each line. Do not invent anything that no issue says."""


def prompts(finder: Finder) -> Sequence[Prompt]:
    project = Argument(
        name="project",
        description="Key of the project, such as PAY.",
        required=True,
        complete=partial(complete_project, finder),
    )
    status = Argument(
        name="status",
        description="Only issues in this status; all that are to do unless given.",
        complete=partial(complete_status, finder),
    )
    assignee = Argument(
        name="assignee",
        description="Only issues of this person; those that nobody has taken unless given.",
        complete=partial(complete_assignee, finder),
    )
    days = Argument(name="days", description="How far back, 14 unless given.", complete=complete_days)
    return (
        Prompt(
            name="triage-backlog",
            title="Triage a backlog",
            description="Goes through the waiting issues of a project and proposes what to do with each.",
            handler=triage,
            arguments=(project, status, assignee),
        ),
        Prompt(
            name="release-note",
            title="Write a release note",
            description="Turns what was finished lately into a note for customers.",
            handler=release_note,
            arguments=(project, days),
        ),
    )


async def triage(call: Call) -> Result:
    status, assignee = call.arguments.get("status"), call.arguments.get("assignee")
    return _said(
        TRIAGE.format(
            project=_project(call),
            status=f"status = {_quoted(status)}" if status else 'statusCategory = "To Do"',
            assignee=f"assignee = {_quoted(assignee)}" if assignee else "assignee IS EMPTY",
        )
    )


async def release_note(call: Call) -> Result:
    days = call.arguments.get("days", "14")
    if not days.isascii() or not days.isdigit() or not 1 <= int(days) <= 365:
        raise invalid("days", "It is a number of days from 1 to 365.")
    return _said(RELEASE_NOTE.format(project=_project(call), days=int(days)))


async def complete_days(call: Call) -> Sequence[str]:
    return [days for days in ("7", "14", "30", "90") if days.startswith(call.arguments.get("days", ""))]


def _project(call: Call) -> str:
    project = call.arguments["project"].upper()
    if not project.isascii() or not project.replace("_", "").isalnum() or not project[:1].isalpha():
        raise invalid("project", f"It is a key of the form {PROJECT_KEY}.")
    return str(project)


def _quoted(text: str) -> str:
    """A string of JQL on one line."""
    bare = " ".join(text.split())
    return '"' + bare.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _said(text: str) -> Result:
    return Result(content=(Message("user", Text(text)),))
