"""An issue and what hangs on it, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from . import wire
from .fields import FIELDS, Field, absent
from .site import Change, Comment, Issue, Item, Link, Site
from .wire import JSON, Face
from .world import ISSUE_TYPES, STATUSES, Step

NAVIGABLE = tuple(id for id in FIELDS if id != "comment")
BRIEF = ("summary", "status", "priority", "issuetype")
"""What a link or a parent shows of the other issue."""
EXPANSIONS = "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations"


def chosen(asked: Sequence[str]) -> list[str]:
    """The fields that a request's list comes to: ids, `*all`, `*navigable`, and `-id` for all but that one."""
    known: list[str] = []
    if not asked or all(name.startswith("-") for name in asked):
        asked = ["*all", *asked]
    for name in asked:
        if name == "*all":
            known += FIELDS
        elif name == "*navigable":
            known += NAVIGABLE
        elif name in FIELDS:
            known.append(name)
    dropped = {name[1:] for name in asked if name.startswith("-")}
    return [id for id in dict.fromkeys(known) if id not in dropped]


def issue(face: Face, site: Site, shown: Issue, fields: Iterable[str]) -> JSON:
    """An issue with the fields of these ids."""
    return {
        "expand": EXPANSIONS,
        "id": str(shown.id),
        "self": face.link(f"issue/{shown.id}"),
        "key": shown.key,
        "fields": {id: value(face, site, shown, id) for id in fields},
    }


def value(face: Face, site: Site, shown: Issue, id: str) -> Any:
    if id == "comment":
        return {**comments(face, shown, 0, len(shown.comments)), "self": face.link(f"issue/{shown.id}/comment")}
    if id == "issuelinks":
        return [_link_end(face, site, link, shown) for link in site.links_of(shown)]
    if id == "subtasks":
        children = site.children(shown)
        return [brief(face, one) for one in children if ISSUE_TYPES[one.values["issuetype"]].level < 0]
    kept = shown.values.get(id)
    if kept is None or (absent(kept) and id != "labels"):
        return [] if id == "labels" else None
    return brief(face, site.find(kept)) if id == "parent" else FIELDS[id].kind.show(kept, face)


def brief(face: Face, shown: Issue) -> JSON:
    fields = {id: FIELDS[id].kind.show(shown.values[id], face) for id in BRIEF if shown.values.get(id) is not None}
    return {"id": str(shown.id), "key": shown.key, "self": face.link(f"issue/{shown.id}"), "fields": fields}


def link(face: Face, site: Site, shown: Link) -> JSON:
    """A link seen from neither end."""
    return {
        **_link_head(face, shown),
        "inwardIssue": brief(face, site.find(shown.source)),
        "outwardIssue": brief(face, site.find(shown.target)),
    }


def _link_end(face: Face, site: Site, shown: Link, here: Issue) -> JSON:
    """The source of `A blocks B` sees B as its outward issue, the target A as its inward one."""
    if shown.source == here.key:
        return {**_link_head(face, shown), "outwardIssue": brief(face, site.find(shown.target))}
    return {**_link_head(face, shown), "inwardIssue": brief(face, site.find(shown.source))}


def _link_head(face: Face, shown: Link) -> JSON:
    id = str(shown.id)
    return {"id": id, "self": face.link(f"issueLink/{id}"), "type": wire.link_type(face, shown.type)}


def comment(face: Face, on: Issue, shown: Comment, *, properties: bool = False) -> JSON:
    author = wire.person(face, shown.author)
    told: JSON = {
        "self": face.link(f"issue/{on.id}/comment/{shown.id}"),
        "id": str(shown.id),
        "author": author,
        "updateAuthor": author,
        "body": face.body(shown.body),
        "created": wire.moment(shown.at),
        "updated": wire.moment(shown.at),
    }
    if face.cloud:
        told["jsdPublic"] = True
    if properties:
        told["properties"] = [{"key": key, "value": value} for key, value in shown.properties.items()]
    return told if shown.visibility is None else {**told, "visibility": dict(shown.visibility)}


def comments(
    face: Face, on: Issue, start: int, most: int, *, newest_first: bool = False, properties: bool = False
) -> JSON:
    said = on.comments[::-1] if newest_first else on.comments
    shown = [comment(face, on, one, properties=properties) for one in said[start : start + most]]
    return {"startAt": start, "maxResults": most, "total": len(said), "comments": shown}


def change(face: Face, shown: Change) -> JSON:
    return {
        "id": str(shown.id),
        "author": wire.person(face, shown.author),
        "created": wire.moment(shown.at),
        "items": [_item(face, item) for item in shown.items],
    }


def _item(face: Face, item: Item) -> JSON:
    values = {
        "from": item.before,
        "fromString": item.before_text,
        "to": item.after,
        "toString": item.after_text,
    }
    told: JSON = {"field": item.field, "fieldtype": "custom" if item.custom else "jira", **values}
    return {**told, "fieldId": item.field_id} if face.cloud else told


def changelog(face: Face, on: Issue) -> JSON:
    """As `expand=changelog` tells it: the newest hundred in the Cloud, all from the oldest in a Data Center."""
    told = on.history[::-1][:100] if face.cloud else on.history
    shown = [change(face, one) for one in told]
    return {"startAt": 0, "maxResults": len(told), "total": len(on.history), "histories": shown}


def step(face: Face, shown: Step, *, fields: bool) -> JSON:
    told: JSON = {"id": shown.id, "name": shown.name, "to": wire.status(face, STATUSES[shown.to])}
    told["hasScreen"] = bool(shown.screen)
    told |= {"isGlobal": shown.sources is None, "isInitial": False, "isConditional": shown.lead_only}
    if face.cloud:
        told |= {"isAvailable": True, "looped": False}
    if fields:
        told["fields"] = {id: FIELDS[id].meta(face, required=id in shown.required) for id in shown.screen}
    return told


def names(fields: Iterable[str]) -> dict[str, str]:
    return {id: FIELDS[id].name for id in fields}


def schemas(fields: Iterable[str]) -> dict[str, JSON]:
    return {id: FIELDS[id].schema() for id in fields}


def metas(face: Face, fields: Iterable[Field]) -> dict[str, JSON]:
    return {field.id: field.meta(face, required=field.required) for field in fields}
