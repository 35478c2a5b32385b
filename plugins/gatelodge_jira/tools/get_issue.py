"""`jira.get_issue`: one issue, with nothing bulky unless it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import fields, validate

from gatelodge import READ, Call, Tool

from ..instances import Finder, project_of
from ..issue import DETAIL_FIELDS, shape_comments, shape_history, shape_issue, shape_transition
from .shapes import ShapedIssue, ShapedTransition, Target, issue_key

EXPANSIONS = ("changelog", "comments", "transitions", "adf")
COMMENTS = 50


class GetIssue(Target):
    issue_key = issue_key()
    expand = fields.List(
        fields.String(validate=validate.OneOf(EXPANSIONS)),
        load_default=list,
        validate=validate.Length(max=len(EXPANSIONS)),
        metadata={
            "description": "More of it: the change history, the newest comments, the transitions open now, or `adf`: "
            "the description as Jira's own document, to be changed without loss."
        },
    )


class Issue(ShapedIssue):
    instance = fields.String(required=True)
    changelog = fields.List(fields.Dict(keys=fields.String()))
    comments = fields.Dict(keys=fields.String())
    transitions = fields.List(fields.Nested(ShapedTransition))
    description_adf = fields.Dict(keys=fields.String(), allow_none=True)


DESCRIPTION = """Read one Jira issue by its key. Use it before changing an issue, and when a question is about one
issue.
Example: {"issue_key": "PAY-12", "expand": ["comments"]}.
Answers the fields that have a value (rich text as Markdown), names of custom fields, and what `expand` asks for: the
last 100 changes, the newest 50 comments, or the transitions that are open now."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.get_issue",
        title="Read a Jira issue",
        description=DESCRIPTION,
        input=GetIssue,
        output=Issue,
        handler=partial(get_issue, instances),
        annotations=READ,
    )


async def get_issue(instances: Finder, call: Call) -> Mapping[str, Any]:
    key, expand = call.arguments["issue_key"], call.arguments["expand"]
    api = await instances.find(call, project_of(key))
    names = {field["id"]: field["name"] for field in await api.fields()}
    found = await api.issue(key, DETAIL_FIELDS)
    shaped: dict[str, Any] = {"instance": api.instance.id, **shape_issue(api, found, names)}
    if "changelog" in expand:
        shaped["changelog"] = shape_history(await api.changelog(key))
    if "comments" in expand:
        shaped["comments"] = shape_comments(await api.comments(key, COMMENTS))
    if "transitions" in expand:
        shaped["transitions"] = [shape_transition(item) for item in await api.transitions(key)]
    if "adf" in expand:
        description = found["fields"].get("description")
        shaped["description_adf"] = description if isinstance(description, dict) else None
    return shaped
