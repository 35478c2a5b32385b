"""`jira.list_transitions`: where an issue may go from here, and what each way asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, fields

from gatelodge import READ, Call, Tool

from ..instances import Finder, project_of
from ..issue import shape_transition
from .shapes import ShapedTransition, Target, issue_key


class ListTransitions(Target):
    issue_key = issue_key()


class Transitions(Schema):
    instance = fields.String(required=True)
    issue_key = fields.String(required=True)
    status = fields.String(required=True)
    transitions = fields.List(fields.Nested(ShapedTransition), required=True)


DESCRIPTION = """List the workflow transitions open for a Jira issue now. Use it before jira.transition_issue when
the target status or its required fields are not known.
Example: {"issue_key": "PAY-12"}.
Answers the current status and each transition: id, name, target status and the fields of its screen, with the
required ones marked and their allowed values. None are listed when the account may not move the issue."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.list_transitions",
        title="List transitions of a Jira issue",
        description=DESCRIPTION,
        input=ListTransitions,
        output=Transitions,
        handler=partial(list_transitions, instances),
        annotations=READ,
    )


async def list_transitions(instances: Finder, call: Call) -> Mapping[str, Any]:
    key = call.arguments["issue_key"]
    api = await instances.find(call, project_of(key))
    issue = await api.issue(key, ["status"])
    return {
        "instance": api.instance.id,
        "issue_key": issue["key"],
        "status": issue["fields"]["status"]["name"],
        "transitions": [shape_transition(item) for item in await api.transitions(key)],
    }
