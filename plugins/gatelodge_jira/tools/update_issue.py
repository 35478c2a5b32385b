"""`jira.update_issue`."""

from __future__ import annotations

from functools import partial

from marshmallow import fields

from gatelodge import OVERWRITE, Call, Result, Tool, ToolError

from ..client import Request
from ..failure import invalid
from ..instances import Finder, project_of
from ..issue import shorten
from ..values import encode_fields
from .shapes import Write, Written, field_values, issue_key
from .writing import about_arguments, preview, written

ELSEWHERE = {"status": "jira.transition_issue", "comment": "jira.add_comment", "issuelinks": "jira.link_issues"}


class UpdateIssue(Write):
    issue_key = issue_key()
    notify_users = fields.Boolean(
        load_default=True, metadata={"description": "Whether Jira mails the watchers; false needs an administrator."}
    )
    fields = field_values(required=True, least=1)  # type: ignore[assignment]


class Updated(Written):
    updated = fields.List(fields.String(), required=True, metadata={"description": "Ids of the fields that were set."})


DESCRIPTION = """Set fields of a Jira issue; null clears one. Use it for summary, description, priority, labels,
assignee, dates and custom fields; a status is changed by jira.transition_issue, a comment added by
jira.add_comment.
Example: {"issue_key": "PAY-12", "fields": {"priority": "High", "Story Points": 5}}.
A list replaces the whole list.
Answers the ids of the fields that were set; dry_run shows what would be sent."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.update_issue",
        title="Update a Jira issue",
        description=DESCRIPTION,
        input=UpdateIssue,
        output=Updated,
        handler=partial(update_issue, instances),
        annotations=OVERWRITE,
        reconcile=partial(reconcile, instances),
    )


async def update_issue(instances: Finder, call: Call) -> Result:
    given = call.arguments
    key = given["issue_key"]
    for name, other in ELSEWHERE.items():
        if name in given["fields"]:
            raise invalid(f"fields.{name}", f"Use {other} for that.")
    api = await instances.find(call, project_of(key))
    new = await encode_fields(api, given["fields"])
    params = None if given["notify_users"] else {"notifyUsers": "false"}
    request = Request("PUT", api.path("issue", key), params, {"fields": new.values})
    if given["dry_run"]:
        return preview(api, key, request, updated=[])
    old = (await api.issue(key, list(new.values)))["fields"]
    try:
        await api.client.send(request)
    except ToolError as error:
        raise about_arguments(error, new.arguments) from None
    before = {name: shorten(old.get(name)) for name in new.values}
    after = {name: shorten(value) for name, value in new.values.items()}
    return written(api, key, before=before, after=after, updated=list(new.values))


async def reconcile(instances: Finder, call: Call) -> Result | None:
    """Every field holds what the call would have set."""
    key = call.arguments["issue_key"]
    api = await instances.find(call, project_of(key))
    new = (await encode_fields(api, call.arguments["fields"])).values
    held = (await api.issue(key, list(new)))["fields"]
    if any(shorten(held.get(name)) != shorten(value) for name, value in new.items()):
        return None
    return written(api, key, updated=list(new))
