"""`jira.add_comment`."""

from __future__ import annotations

from functools import partial
from typing import Any

from marshmallow import Schema, fields, validate, validates_schema

from gatelodge import WRITE, Call, Result, Tool

from ..api import PAGE
from ..client import Request
from ..documents import to_markdown
from ..instances import Finder, project_of
from .shapes import Write, Written, adf, issue_key, markdown, one_of
from .writing import mark, marked, preview, written


class Visibility(Schema):
    type = fields.String(required=True, validate=validate.OneOf(["role", "group"]))
    value = fields.String(
        required=True, validate=validate.Length(min=1, max=255), metadata={"description": "Name of the role or group."}
    )


class AddComment(Write):
    issue_key = issue_key()
    body = markdown("The comment, in Markdown.")
    body_adf = adf("The comment as Jira's own document, in place of Markdown.")
    visibility = fields.Nested(Visibility, metadata={"description": "Who may read it; everyone without this."})

    @validates_schema
    def _one_body(self, data: dict[str, Any], **kwargs: Any) -> None:
        one_of(data, "body", "body_adf", required=True)


class Commented(Written):
    comment_id = fields.String(required=True, allow_none=True)


DESCRIPTION = """Add a comment to a Jira issue. Use it to report, answer or leave a note for the people of the
issue.
Example: {"issue_key": "PAY-12", "body": "Reproduced on **4.2**.", "idempotency_key": "c-1"}.
Answers the id of the comment.
Give an idempotency_key so that a retry does not say it twice; dry_run shows what would be sent."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.add_comment",
        title="Comment on a Jira issue",
        description=DESCRIPTION,
        input=AddComment,
        output=Commented,
        handler=partial(add_comment, instances),
        annotations=WRITE,
        reconcile=partial(reconcile, instances),
    )


async def add_comment(instances: Finder, call: Call) -> Result:
    given = call.arguments
    key = given["issue_key"]
    api = await instances.find(call, project_of(key))
    body: dict[str, Any] = {"body": api.document(given.get("body"), given.get("body_adf"))}
    if "visibility" in given:
        body["visibility"] = given["visibility"]
    if properties := mark(call):
        body["properties"] = properties
    request = Request("POST", api.path("issue", key, "comment"), body=body)
    if given["dry_run"]:
        return preview(api, key, request, comment_id=None)
    created = await api.client.send(request)
    after = {"comment": to_markdown(body["body"])}
    return written(api, key, after=after, comment_id=str(created["id"]))


async def reconcile(instances: Finder, call: Call) -> Result | None:
    """The comment with the call's mark, among the newest."""
    key = call.arguments["issue_key"]
    api = await instances.find(call, project_of(key))
    for comment in (await api.comments(key, PAGE))["comments"]:
        if marked(comment.get("properties") or [], call):
            return written(api, key, comment_id=str(comment["id"]))
    return None
