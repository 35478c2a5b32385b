"""`jira.transition_issue`: move an issue through its workflow."""

from __future__ import annotations

from functools import partial
from typing import Any

from marshmallow import fields, validate

from gatelodge import WRITE, Call, Result, Tool, ToolError

from ..api import JiraAPI
from ..client import Request
from ..failure import invalid
from ..instances import Finder, project_of
from ..issue import shape_transition, shorten
from ..values import encode, resolve
from .shapes import Write, Written, field_values, issue_key, markdown
from .writing import about_arguments, preview, written


class TransitionIssue(Write):
    issue_key = issue_key()
    to_status = fields.String(
        required=True,
        validate=validate.Length(min=1, max=255),
        metadata={"description": "Name of the target status or of the transition, or a transition's id."},
    )
    comment = markdown("Added with the move, in Markdown.")
    fields = field_values()  # type: ignore[assignment]


class Moved(Written):
    from_status = fields.String(required=True)
    to_status = fields.String(required=True)
    transition_id = fields.String(required=True)


DESCRIPTION = """Move a Jira issue to another status. Use it for start, review, done, reopen and the like.
Example: {"issue_key": "PAY-12", "to_status": "Done", "fields": {"resolution": "Fixed"}, "comment": "Released in
4.2."}.
Only transitions open from the current status work; the error lists them, and the fields a screen requires.
Answers the status before and after; dry_run shows what would be sent."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.transition_issue",
        title="Move a Jira issue to another status",
        description=DESCRIPTION,
        input=TransitionIssue,
        output=Moved,
        handler=partial(transition_issue, instances),
        annotations=WRITE,
        reconcile=partial(reconcile, instances),
    )


async def transition_issue(instances: Finder, call: Call) -> Result:
    given = call.arguments
    key = given["issue_key"]
    api = await instances.find(call, project_of(key))
    status = (await api.issue(key, ["status"]))["fields"]["status"]["name"]
    transition = _chosen(await api.transitions(key), given["to_status"], status)
    values = _screen_values(api, transition, given.get("fields", {}))
    body: dict[str, Any] = {"transition": {"id": transition["id"]}}
    if values:
        body["fields"] = values
    if "comment" in given:
        body["update"] = {"comment": [{"add": {"body": api.document(given["comment"], None)}}]}
    request = Request("POST", api.path("issue", key, "transitions"), body=body)
    to = transition["to"]["name"]
    more = {"from_status": status, "to_status": to, "transition_id": transition["id"]}
    if given["dry_run"]:
        return preview(api, key, request, **more)
    try:
        await api.client.send(request)
    except ToolError as error:
        raise about_arguments(error, {"comment": "comment"}) from None
    after = {"status": to, **{name: shorten(value) for name, value in values.items()}}
    return written(api, key, before={"status": status}, after=after, **more)


async def reconcile(instances: Finder, call: Call) -> Result | None:
    """The issue is in the wanted status, and its history says since when and by which way."""
    key = call.arguments["issue_key"]
    api = await instances.find(call, project_of(key))
    status = (await api.issue(key, ["status"]))["fields"]["status"]["name"]
    if status.casefold() != call.arguments["to_status"].casefold():
        return None
    moves = [item for change in await api.changelog(key) for item in change["items"] if item["field"] == "status"]
    before = moves[-1].get("fromString") if moves else None
    return written(api, key, from_status=before or status, to_status=status, transition_id="")


def _chosen(transitions: list[dict[str, Any]], wanted: str, status: str) -> dict[str, Any]:
    """By id, else by target status, else by the transition's own name."""
    folded = wanted.casefold()
    found = [item for item in transitions if item["id"] == wanted]
    found = found or [item for item in transitions if item["to"]["name"].casefold() == folded]
    found = found or [item for item in transitions if item["name"].casefold() == folded]
    if len(found) == 1:
        return found[0]
    offered = [f"{item['name']} (id {item['id']}) to {item['to']['name']}" for item in found or transitions]
    if found:
        raise invalid("to_status", f"Several transitions lead there; give an id: {'; '.join(offered)}.")
    if not transitions:
        raise invalid("to_status", f"No transition is open from {status}; the account may lack the permission.")
    already = "It is in that status already. " if folded == status.casefold() else ""
    raise invalid("to_status", f"{already}Open from {status} are: {'; '.join(offered)}.", available=offered)


def _screen_values(api: JiraAPI, transition: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Values by id for the transition's screen. What is not on it would be ignored by Jira, so it is refused here."""
    screen = [{"id": name, **field} for name, field in (transition.get("fields") or {}).items()]
    known = [{**field, "name": field.get("name", field["id"])} for field in screen]
    values = {}
    for name, value in given.items():
        field = resolve(known, name, f"fields.{name}")
        values[field["id"]] = encode(api, field, value)
    missing = [
        field["name"]
        for field in shape_transition(transition)["fields"]
        if field["required"] and field["id"] not in values
    ]
    if missing:
        raise invalid(
            "fields", f"The transition {transition['name']} requires: {', '.join(missing)}.", required=missing
        )
    return values
