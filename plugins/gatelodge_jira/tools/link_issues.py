"""`jira.link_issues`: "source blocks target" and the like, the right way round, and once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import fields, validate

from gatelodge import WRITE, Call, Result, Tool

from ..api import JiraAPI
from ..client import Request
from ..failure import invalid
from ..instances import Finder, project_of
from .shapes import Write, Written, issue_key, markdown
from .writing import preview, written


class LinkIssues(Write):
    source = issue_key("Key of the issue the sentence begins with: source blocks target.")
    target = issue_key("Key of the issue the sentence ends with.")
    link_type = fields.String(
        required=True,
        validate=validate.Length(min=1, max=255),
        metadata={
            "description": "Name of the type (Blocks) or its phrase in either direction (blocks, is blocked by)."
        },
    )
    comment = markdown("Added to the source, in Markdown.")


class Linked(Written):
    link_id = fields.String(required=True, allow_none=True)
    sentence = fields.String(required=True, metadata={"description": "What the link says."})
    existed = fields.Boolean(required=True, metadata={"description": "The link was there; nothing was sent."})


DESCRIPTION = """Link two Jira issues. Read the arguments as a sentence: source, link_type, target.
Example: {"source": "PAY-12", "link_type": "blocks", "target": "WEB-3"} says that PAY-12 blocks WEB-3.
Answers the id of the link and the sentence it makes; when it exists already nothing is sent. dry_run shows what would
be sent."""


def tool(instances: Finder) -> Tool:
    return Tool(
        name="jira.link_issues",
        title="Link two Jira issues",
        description=DESCRIPTION,
        input=LinkIssues,
        output=Linked,
        handler=partial(link_issues, instances),
        annotations=WRITE,
        reconcile=partial(reconcile, instances),
    )


async def link_issues(instances: Finder, call: Call) -> Result:
    given = call.arguments
    source, target = given["source"], given["target"]
    if source == target:
        raise invalid("target", "An issue cannot be linked to itself.")
    api = await instances.find(call, project_of(source))
    kind, forward = _kind(await api.link_types(), given["link_type"])
    sentence = _sentence(kind, source, target, forward)
    existing = await _existing(api, kind, source, target, forward)
    request = Request(
        "POST", api.path("issueLink"), body=_body(api, kind, source, target, forward, given.get("comment"))
    )
    if given["dry_run"]:
        requests = [] if existing else [request]
        return preview(api, source, *requests, link_id=existing, sentence=sentence, existed=existing is not None)
    if existing is not None:
        return written(api, source, link_id=existing, sentence=sentence, existed=True)
    await api.client.send(request)
    link = await _existing(api, kind, source, target, forward)
    return written(api, source, after={"link": sentence}, link_id=link, sentence=sentence, existed=False)


async def reconcile(instances: Finder, call: Call) -> Result | None:
    """The link itself: where it is, it has been made."""
    given = call.arguments
    source, target = given["source"], given["target"]
    api = await instances.find(call, project_of(source))
    kind, forward = _kind(await api.link_types(), given["link_type"])
    link = await _existing(api, kind, source, target, forward)
    if link is None:
        return None
    return written(api, source, link_id=link, sentence=_sentence(kind, source, target, forward), existed=False)


def _sentence(kind: Mapping[str, Any], source: str, target: str, forward: bool) -> str:
    return f"{source} {kind['outward' if forward else 'inward']} {target}"


def _kind(types: list[dict[str, Any]], wanted: str) -> tuple[dict[str, Any], bool]:
    """The type, and whether the source is on its outward side."""
    folded = wanted.casefold()
    for forward, part in ((True, "name"), (True, "outward"), (False, "inward")):
        for item in types:
            if item[part].casefold() == folded:
                return item, forward
    phrases = "; ".join(f"{item['name']} ({item['outward']} / {item['inward']})" for item in types)
    raise invalid("link_type", f"Jira has no link type {wanted!r}; it has: {phrases}.")


async def _existing(api: JiraAPI, kind: Mapping[str, Any], source: str, target: str, forward: bool) -> str | None:
    """The id of the same link, if there is one: Jira takes a second one without a word, and its comment again."""
    sides = ["outwardIssue" if forward else "inwardIssue"]
    if kind["inward"] == kind["outward"]:
        sides = ["outwardIssue", "inwardIssue"]
    issue = await api.issue(source, ["issuelinks"])
    for link in issue["fields"].get("issuelinks") or []:
        if link["type"]["id"] == kind["id"] and any(link.get(side, {}).get("key") == target for side in sides):
            return str(link["id"])
    return None


def _body(
    api: JiraAPI, kind: Mapping[str, Any], source: str, target: str, forward: bool, comment: str | None
) -> dict[str, Any]:
    """For "A blocks B" Jira wants inwardIssue=A and outwardIssue=B: found by trying, against what the names suggest."""
    first, second = (source, target) if forward else (target, source)
    body: dict[str, Any] = {
        "type": {"name": kind["name"]},
        "inwardIssue": {"key": first},
        "outwardIssue": {"key": second},
    }
    if comment is not None:
        body["comment"] = {"body": api.document(comment, None)}
    return body
