"""`jira.search`: issues by JQL, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, fields, validate

from gatelodge import READ, Call, Cursors, ErrorCode, Tool, ToolError, telling

from ..api import JiraAPI
from ..failure import invalid
from ..instances import Finder, project_in
from ..issue import SUMMARY_FIELDS, shape_issue
from ..values import resolve
from .shapes import ShapedIssue, Target


class Search(Target):
    query = fields.String(
        required=True,
        validate=validate.Length(min=1, max=10_000),
        metadata={"description": "JQL with at least one restriction, such as: project = PAY AND status != Done."},
    )
    limit = fields.Integer(
        strict=True,
        load_default=50,
        validate=validate.Range(min=1, max=100),
        metadata={"description": "Issues of one page."},
    )
    cursor = fields.String(
        validate=validate.Length(max=4000), metadata={"description": "From the page before, with the same query."}
    )
    count = fields.Boolean(
        load_default=False, metadata={"description": "Also count all matching issues; on Cloud that is an estimate."}
    )
    fields = fields.List(  # type: ignore[assignment]
        fields.String(validate=validate.Length(min=1, max=255)),
        validate=validate.Length(min=1, max=50),
        metadata={"description": "Names or ids of the fields to answer, in place of the usual ones."},
    )


class Found(Schema):
    instance = fields.String(required=True)
    issues = fields.List(fields.Nested(ShapedIssue), required=True)
    cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "For the next page; null at the end."}
    )
    total = fields.Integer(metadata={"description": "Matching issues, when asked for."})
    total_is_estimate = fields.Boolean()


DESCRIPTION = """Find Jira issues by JQL. Use it to list, filter or look up issues; for one known key use
jira.get_issue.
Example: {"query": "project = PAY AND statusCategory != Done ORDER BY updated DESC", "limit": 20}.
Answers issues with their usual fields (summary, status, type, priority, people, labels, dates) or the ones named in
`fields`, and a cursor when there are more. A search may lag a few seconds behind a write."""


def tool(instances: Finder, cursors: Cursors) -> Tool:
    return Tool(
        name="jira.search",
        title="Search Jira issues",
        description=DESCRIPTION,
        input=Search,
        output=Found,
        handler=partial(search, instances, cursors),
        annotations=READ,
    )


async def search(instances: Finder, cursors: Cursors, call: Call) -> Mapping[str, Any]:
    given = call.arguments
    jql = given["query"]
    async with telling(call, lambda: "Jira has yet to answer"):
        api = await instances.find(call, project_in(jql))
        names = await _names(api)
        wanted = await _fields(api, given.get("fields"))
        query = [api.instance.id, jql, wanted]
        cursor = given.get("cursor")
        start = None if cursor is None else cursors.read(call.principal.tenant, query, cursor)
        try:
            page = await api.search(jql, wanted, given["limit"], start)
            total = await api.count(jql) if given["count"] else None
        except ToolError as error:
            raise _about_query(error) from None
    found: dict[str, Any] = {
        "instance": api.instance.id,
        "issues": [shape_issue(api, issue, names) for issue in page.issues],
        "cursor": None if page.next is None else cursors.sign(call.principal.tenant, query, page.next),
    }
    if total is not None:
        found["total"], found["total_is_estimate"] = total
    return found


async def _names(api: JiraAPI) -> dict[str, str]:
    return {field["id"]: field["name"] for field in await api.fields()}


async def _fields(api: JiraAPI, given: list[str] | None) -> list[str]:
    if given is None:
        return list(SUMMARY_FIELDS)
    known = await api.fields()
    return [resolve(known, name, f"fields.{index}")["id"] for index, name in enumerate(given)]


def _about_query(error: ToolError) -> ToolError:
    """Jira's complaints about JQL are complaints about the argument `query`."""
    messages = error.details.get("messages")
    if error.code is not ErrorCode.VALIDATION_ERROR or not messages:
        return error
    return invalid("query", " ".join(messages), instance=error.details["instance"])
