"""Operations on one issue, its transitions, comments, history and links."""

from __future__ import annotations

from typing import Any

from . import view, wire
from .ask import Ask, Reply, words
from .change import may_delete
from .fields import ALL, FIELDS
from .refusal import Refusal
from .site import Change, Issue, Link
from .wire import JSON

MOST_FETCHED = 100


def create(ask: Ask) -> Reply:
    issue = ask.desk.create(ask.given)
    return Reply(201, {"id": str(issue.id), "key": issue.key, "self": ask.face.link(f"issue/{issue.id}")})


def get(ask: Ask) -> Reply:
    shown = _expanded(ask, ask.issue, view.chosen(ask.words("fields")), ask.words("expand"))
    if asked := ask.words("properties"):
        kept = ask.issue.properties
        shown["properties"] = {key: kept[key] for key in kept if key in asked or "*all" in asked}
    return Reply(200, shown)


def edit(ask: Ask) -> Reply:
    issue = ask.issue
    ask.desk.edit(issue, ask.given)
    if ask.query.get("returnIssue") != "true":
        return Reply(204)
    return Reply(200, view.issue(ask.face, ask.site, issue, view.chosen([])))


def delete(ask: Ask) -> Reply:
    issue = ask.issue
    if not may_delete(issue, ask.user):
        raise Refusal(403, "You do not have permission to delete issues in this project.")
    subtasks = view.value(ask.face, ask.site, issue, "subtasks")
    if subtasks and ask.query.get("deleteSubtasks") != "true":
        raise Refusal(400, f"The issue '{issue.key}' has subtasks. You must specify the 'deleteSubtasks' parameter.")
    for subtask in subtasks:
        ask.site.delete(ask.site.find(subtask["key"]))
    ask.site.delete(issue)
    return Reply(204)


def transitions(ask: Ask) -> Reply:
    """A transition that is unknown or not open to this person is not an error, it is not in the list."""
    wanted = ask.query.get("transitionId")
    fields = "transitions.fields" in ask.words("expand")
    steps = [step for step in ask.desk.steps(ask.issue) if wanted in (None, step.id)]
    shown = [view.step(ask.face, step, fields=fields) for step in steps]
    return Reply(200, {"expand": "transitions", "transitions": shown})


def transition(ask: Ask) -> Reply:
    ask.desk.move(ask.issue, ask.given)
    return Reply(204)


def comments(ask: Ask) -> Reply:
    start, most = ask.number("startAt", 0), min(ask.number("maxResults", 50), 5000)
    newest = ask.query.get("orderBy") == "-created"
    properties = "properties" in ask.words("expand")
    return Reply(200, view.comments(ask.face, ask.issue, start, most, newest_first=newest, properties=properties))


def comment(ask: Ask) -> Reply:
    issue = ask.issue
    return Reply(201, view.comment(ask.face, issue, ask.desk.comment(issue, ask.given)))


def changelog(ask: Ask) -> Reply:
    """Page by page from the oldest."""
    issue, start, most = ask.issue, ask.number("startAt", 0), min(ask.number("maxResults", 100), 100)
    values = [view.change(ask.face, change) for change in issue.history[start : start + most]]
    last = start + len(values) >= len(issue.history)
    here = ask.face.link(f"issue/{issue.key}/changelog?maxResults={most}&startAt=")
    page: JSON = {"self": f"{here}{start}", "maxResults": most, "startAt": start, "total": len(issue.history)}
    if not last:
        page["nextPage"] = f"{here}{start + most}"
    return Reply(200, {**page, "isLast": last, "values": values})


def editmeta(ask: Ask) -> Reply:
    return Reply(200, _editmeta(ask, ask.issue))


def bulk_fetch(ask: Ask) -> Reply:
    """What is not there is left out and named."""
    wanted = words(ask.given.get("issueIdsOrKeys"))
    if not wanted or len(wanted) > MOST_FETCHED:
        raise Refusal(400, f"'issueIdsOrKeys' must hold between 1 and {MOST_FETCHED} ids or keys.")
    fields, expand = view.chosen(words(ask.given.get("fields")) or ["*navigable"]), words(ask.given.get("expand"))
    issues, errors = _found(ask, wanted)
    return Reply(200, {"issues": [_expanded(ask, issue, fields, expand) for issue in issues], "issueErrors": errors})


def bulk_changelog(ask: Ask) -> Reply:
    """Changes of several issues, only of some fields when they are named, up to `maxResults` a page."""
    body = ask.given
    issues, _ = _found(ask, words(body.get("issueIdsOrKeys")))
    if not issues:
        raise Refusal(400, "'issueIdsOrKeys' must name at least one issue that exists.")
    fields = set(words(body.get("fieldIds")))
    told = [(issue, change) for issue in issues for change in issue.history if _touches(change, fields)]
    start, most = int(body.get("nextPageToken") or 0), int(body.get("maxResults", 1000))
    logs: dict[str, list[JSON]] = {}
    for issue, change in told[start : start + most]:
        logs.setdefault(str(issue.id), []).append(view.change(ask.face, change))
    page: JSON = {"issueChangeLogs": [{"issueId": id, "changeHistories": logs[id]} for id in logs]}
    if start + most < len(told):
        page["nextPageToken"] = str(start + most)
    return Reply(200, page)


def link(ask: Ask) -> Reply:
    ask.desk.link(ask.given)
    return Reply(201)


def get_link(ask: Ask) -> Reply:
    return Reply(200, view.link(ask.face, ask.site, _link(ask)))


def delete_link(ask: Ask) -> Reply:
    del ask.site.links[_link(ask).id]
    return Reply(204)


def _editmeta(ask: Ask, issue: Issue) -> JSON:
    """The fields of the edit screen, the same for every issue but for its types."""
    metas = view.metas(ask.face, [field for field in ALL if {"edit", "comment"} & set(field.screens)])
    metas["issuetype"]["allowedValues"] = [wire.named_issue_type(ask.face, name) for name in issue.project.issue_types]
    return {"fields": metas}


def _link(ask: Ask) -> Link:
    id = ask.path["link"]
    found = ask.site.links.get(int(id)) if id.isdecimal() else None
    if found is None:
        raise Refusal(404, f"No issue link with id '{id}' exists.")
    return found


def _found(ask: Ask, wanted: list[str]) -> tuple[list[Issue], list[JSON]]:
    issues, errors = {}, []
    for name in wanted:
        try:
            issue = ask.site.find(name)
            issues[issue.id] = issue
        except Refusal as refusal:
            errors.append({"id": name, "errorMessage": refusal.messages[0]})
    return list(issues.values()), errors


def _touches(change: Change, fields: set[str]) -> bool:
    return not fields or any(item.field_id in fields for item in change.items)


def _expanded(ask: Ask, issue: Issue, fields: list[str], expand: list[str]) -> JSON:
    shown = view.issue(ask.face, ask.site, issue, fields)
    more: dict[str, Any] = {}
    if "names" in expand:
        more["names"] = view.names(fields)
    if "schema" in expand:
        more["schema"] = view.schemas(fields)
    if "changelog" in expand:
        more["changelog"] = view.changelog(ask.face, issue)
    if "transitions" in expand:
        more["transitions"] = [view.step(ask.face, step, fields=False) for step in ask.desk.steps(issue)]
    if "editmeta" in expand:
        more["editmeta"] = _editmeta(ask, issue)
    if "renderedFields" in expand:
        rendered = {id: issue.values.get(id) for id in fields if FIELDS[id].kind.type == "string"}
        more["renderedFields"] = {id: wire.html(body) for id, body in rendered.items()}
    return {**shown, **more}
