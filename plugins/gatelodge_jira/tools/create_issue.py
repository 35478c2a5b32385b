"""`jira.create_issue`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import fields, validate, validates_schema

from gatelodge import WRITE, Call, Result, Tool, ToolError

from ..api import PAGE, JiraAPI
from ..client import Request
from ..failure import invalid
from ..instances import Finder
from ..issue import shorten
from ..values import Encoded, encode_fields
from .shapes import PROJECT_KEY, Write, Written, adf, field_values, markdown, one_of
from .writing import about_arguments, issue_is_marked, mark, preview, written

PAGES = 5
"""How far back the search for an issue of unknown outcome goes."""
OWN_ARGUMENTS = {
    "project": "project_key",
    "issuetype": "issue_type",
    "summary": "summary",
    "description": "description",
}


class CreateIssue(Write):
    project_key = fields.String(
        required=True, validate=validate.Regexp(PROJECT_KEY), metadata={"description": "Such as PAY."}
    )
    issue_type = fields.String(
        required=True, validate=validate.Length(min=1, max=255), metadata={"description": "Name or id, such as Bug."}
    )
    summary = fields.String(
        required=True,
        validate=[validate.Length(min=1, max=255), validate.Regexp(r"^[^\r\n]*\S[^\r\n]*$")],
        metadata={"description": "One line."},
    )
    description = markdown("What it is about, in Markdown.")
    description_adf = adf("The description as Jira's own document, in place of Markdown.")
    fields = field_values()  # type: ignore[assignment]

    @validates_schema
    def _one_description(self, data: dict[str, Any], **kwargs: Any) -> None:
        one_of(data, "description", "description_adf", required=False)


class Created(Written):
    issue_id = fields.String(allow_none=True)


DESCRIPTION = """Create a Jira issue. Use it when the user wants a new issue; search first for one that is there
already.
Example: {"project_key": "PAY", "issue_type": "Bug", "summary": "Card form freezes", "description": "## Steps\\n1.
...", "fields": {"priority": "High", "labels": ["checkout"]}, "idempotency_key": "b7c1"}.
Answers the key and url of the issue.
Give an idempotency_key so that a retry does not create it twice; dry_run shows what would be sent."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.create_issue",
        title="Create a Jira issue",
        description=DESCRIPTION,
        input=CreateIssue,
        output=Created,
        handler=partial(create_issue, instances),
        annotations=WRITE,
        reconcile=partial(reconcile, instances),
    )


async def create_issue(instances: Finder, call: Call) -> Result:
    given = call.arguments
    api = await instances.find(call, given["project_key"])
    more = await _more(api, given.get("fields", {}))
    values = {**await _values(api, given), **more.values}
    body: dict[str, Any] = {"fields": values}
    if properties := mark(call):
        body["properties"] = properties
    request = Request("POST", api.path("issue"), body=body)
    if given["dry_run"]:
        return preview(api, None, request)
    try:
        created = await api.client.send(request)
    except ToolError as error:
        raise about_arguments(error, more.arguments | OWN_ARGUMENTS) from None
    after = {name: shorten(value) for name, value in values.items()}
    return written(api, created["key"], after=after, issue_id=str(created["id"]))


async def reconcile(instances: Finder, call: Call) -> Result | None:
    """The issue with the call's mark, among the newest of the project with its summary."""
    given = call.arguments
    api = await instances.find(call, given["project_key"])
    jql = f'project = "{given["project_key"]}" AND created >= -2d ORDER BY created DESC'
    start: str | int | None = None
    for _ in range(PAGES):
        page = await api.search(jql, ["summary"], PAGE, start)
        for issue in page.issues:
            if issue["fields"]["summary"] == given["summary"] and await issue_is_marked(api, issue["key"], call):
                return written(api, issue["key"], issue_id=str(issue["id"]))
        start = page.next
        if start is None:
            break
    return None


async def _values(api: JiraAPI, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        "project": {"key": given["project_key"]},
        "issuetype": {"id": await _issue_type(api, given["project_key"], given["issue_type"])},
        "summary": given["summary"],
    }
    if "description" in given or "description_adf" in given:
        values["description"] = api.document(given.get("description"), given.get("description_adf"))
    return values


async def _more(api: JiraAPI, given: Mapping[str, Any]) -> Encoded:
    more = await encode_fields(api, given)
    for name, argument in more.arguments.items():
        if name in OWN_ARGUMENTS:
            raise invalid(argument, f"Give it as the argument {OWN_ARGUMENTS[name]}.")
    return more


async def _issue_type(api: JiraAPI, project: str, wanted: str) -> str:
    types = await api.issue_types(project)
    for item in types:
        if wanted == item["id"] or wanted.casefold() == item["name"].casefold():
            return str(item["id"])
    names = ", ".join(item["name"] for item in types)
    raise invalid("issue_type", f"{project} has no type {wanted!r}; it has {names or 'none that may be created'}.")
