"""Operations that tell what there is: the server, people, projects, fields and their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import wire
from .ask import Ask, Reply
from .fields import ALL
from .refusal import Refusal
from .wire import JSON, PERSONS
from .world import ISSUE_TYPES, LINK_TYPES, PRIORITIES, PROJECTS, STATUSES, IssueType, Project

LONGEST_PAGE = 200


def server_info(ask: Ask) -> Reply:
    """Open to everyone, as in Jira."""
    version = "1001.0.0-SNAPSHOT" if ask.face.cloud else "10.3.2"
    return Reply(
        200,
        {
            "baseUrl": ask.face.base,
            "version": version,
            "versionNumbers": [1001, 0, 0] if ask.face.cloud else [10, 3, 2],
            "deploymentType": "Cloud" if ask.face.cloud else "Server",
            "buildNumber": 100_292,
            "buildDate": "2026-10-01T00:00:00.000+0000",
            "serverTime": wire.moment(ask.site.now()),
            "scmInfo": "sandbox",
            "serverTitle": "Sandbox Jira",
        },
    )


def myself(ask: Ask) -> Reply:
    return Reply(200, {**wire.person(ask.face, ask.user), "locale": "en_GB"})


def find_users(ask: Ask) -> Reply:
    """By the beginning of a name or address; the Cloud calls it `query`, a Data Center `username`."""
    parameter = "query" if ask.face.cloud else "username"
    asked, account = ask.query.get(parameter), ask.query.get("accountId")
    if asked is None and account is None:
        raise Refusal(400, f"The '{parameter}' parameter is required.")
    found = [
        person.name
        for person in PERSONS.values()
        if (account in (None, person.account_id)) and (asked is None or _matches(person, asked.lower()))
    ]
    start, most = ask.number("startAt", 0), ask.number("maxResults", 50)
    return Reply(200, [wire.person(ask.face, name) for name in found[start : start + most]])


def _matches(person: Any, asked: str) -> bool:
    names = (person.name, person.email, *person.display_name.split(), person.display_name)
    return any(name.lower().startswith(asked) for name in names)


def projects(ask: Ask) -> Reply:
    """All of them, as a plain list."""
    return Reply(200, [wire.project(ask.face, project) for project in PROJECTS.values()])


def search_projects(ask: Ask) -> Reply:
    asked = ask.query.get("query", "").lower()
    keys = ask.words("keys")
    found = [
        wire.project(ask.face, project)
        for project in PROJECTS.values()
        if (not keys or project.key in keys) and (asked in project.name.lower() or asked in project.key.lower())
    ]
    start, most = ask.number("startAt", 0), ask.number("maxResults", 50)
    last = start + most >= len(found)
    page: JSON = {"startAt": start, "maxResults": most, "total": len(found), "isLast": last}
    return Reply(200, {**page, "self": ask.face.link("project/search"), "values": found[start : start + most]})


def project(ask: Ask) -> Reply:
    return Reply(200, wire.whole_project(ask.face, _project(ask)))


def fields(ask: Ask) -> Reply:
    return Reply(200, [field.details(ask.face) for field in ALL])


def priorities(ask: Ask) -> Reply:
    return Reply(200, [wire.priority(ask.face, name) for name in PRIORITIES])


def statuses(ask: Ask) -> Reply:
    return Reply(200, [wire.status(ask.face, status) for status in STATUSES.values()])


def issue_types(ask: Ask) -> Reply:
    return Reply(200, [wire.issue_type(ask.face, kind) for kind in ISSUE_TYPES.values()])


def link_types(ask: Ask) -> Reply:
    return Reply(200, {"issueLinkTypes": [wire.link_type(ask.face, kind) for kind in LINK_TYPES.values()]})


def create_types(ask: Ask) -> Reply:
    """The types that a new issue of a project may have."""
    kinds = [wire.issue_type(ask.face, ISSUE_TYPES[name]) for name in _project(ask).issue_types]
    return _page(ask, "issueTypes", kinds)


def create_fields(ask: Ask) -> Reply:
    """The fields of a new issue of a type, and which of them it must have."""
    kind = _issue_type(ask)
    on_screen = [field for field in ALL if "create" in field.screens]
    metas = [
        {
            **field.meta(ask.face, required=field.required or (field.id == "parent" and kind.level < 0)),
            "fieldId": field.id,
        }
        for field in on_screen
    ]
    return _page(ask, "fields", metas)


def _page(ask: Ask, name: str, items: Sequence[JSON]) -> Reply:
    """The Cloud names the list for what is in it; a Data Center calls every one `values`."""
    start, most = ask.number("startAt", 0), ask.number("maxResults", 50)
    if most > LONGEST_PAGE:
        raise Refusal(400, f"Parameter 'maxResults' must not exceed the limit '{LONGEST_PAGE}'")
    page: JSON = {"startAt": start, "maxResults": most, "total": len(items)}
    shown = list(items[start : start + most])
    if ask.face.cloud:
        return Reply(200, {**page, name: shown})
    return Reply(200, {**page, "isLast": start + most >= len(items), "values": shown})


def _project(ask: Ask) -> Project:
    asked = ask.path["project"]
    for project in PROJECTS.values():
        if asked in (project.key, project.id):
            return project
    raise Refusal(404, f"No project could be found with key '{asked}'.")


def _issue_type(ask: Ask) -> IssueType:
    for name in _project(ask).issue_types:
        if ISSUE_TYPES[name].id == ask.path["type"]:
            return ISSUE_TYPES[name]
    raise Refusal(404, "The issue type does not exist in this project.")
