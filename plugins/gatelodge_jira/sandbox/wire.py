"""What is common to every issue, as JSON: people, projects, statuses and the other named things."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from .bodies import as_adf, as_wiki
from .site import Body
from .world import (
    CATEGORY_NAMES,
    ISSUE_TYPES,
    PEOPLE,
    PRIORITIES,
    PROJECTS,
    RESOLUTIONS,
    STATUSES,
    TEAMS,
    IssueType,
    LinkType,
    Person,
    Project,
    Status,
)

JSON = dict[str, Any]
PERSONS = {person.name: person for person in PEOPLE}


@dataclass(frozen=True, slots=True)
class Face:
    """Which API an answer is for: `api` 3 has ADF bodies and 2 wiki text; in the Cloud people are account ids."""

    base: str
    api: int
    cloud: bool

    def link(self, path: str) -> str:
        return f"{self.base}/rest/api/{self.api}/{path}"

    def body(self, body: Body | None) -> Body | None:
        return as_adf(body) if self.api == 3 else as_wiki(body)


def moment(at: datetime) -> str:
    """As Jira writes times: not quite RFC 3339, for want of a colon."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000"


def person(face: Face, name: str) -> JSON:
    return _person(face, PERSONS[name])


def _person(face: Face, person: Person) -> JSON:
    shared = {
        "emailAddress": person.email,
        "displayName": person.display_name,
        "active": True,
        "timeZone": "Etc/UTC",
        "avatarUrls": avatars(face, person.key),
    }
    if face.cloud:
        link = face.link(f"user?accountId={person.account_id}")
        return {"self": link, "accountId": person.account_id, "accountType": "atlassian", **shared}
    return {"self": face.link(f"user?username={person.name}"), "name": person.name, "key": person.key, **shared}


def avatars(face: Face, of: str) -> JSON:
    return {f"{n}x{n}": f"{face.base}/secure/avatar?of={of}&size={n}" for n in (16, 24, 32, 48)}


def project(face: Face, project: Project) -> JSON:
    """The short form, in issues and lists."""
    shown = {
        "self": face.link(f"project/{project.id}"),
        "id": project.id,
        "key": project.key,
        "name": project.name,
        "projectTypeKey": "software",
        "avatarUrls": avatars(face, project.key),
    }
    return {**shown, "simplified": False} if face.cloud else shown


def whole_project(face: Face, asked: Project) -> JSON:
    shown = {
        **project(face, asked),
        "description": asked.description,
        "lead": person(face, asked.lead),
        "issueTypes": [issue_type(face, ISSUE_TYPES[name]) for name in asked.issue_types],
        "components": [],
        "versions": [],
        "roles": {},
        "assigneeType": "UNASSIGNED",
    }
    return {**shown, "style": "classic", "isPrivate": False, "properties": {}} if face.cloud else shown


def issue_type(face: Face, kind: IssueType) -> JSON:
    shown = {
        "self": face.link(f"issuetype/{kind.id}"),
        "id": kind.id,
        "name": kind.name,
        "description": "",
        "iconUrl": f"{face.base}/images/icons/issuetypes/{kind.id}.svg",
        "subtask": kind.level < 0,
    }
    return {**shown, "hierarchyLevel": kind.level} if face.cloud else shown


def status(face: Face, status: Status) -> JSON:
    return {
        "self": face.link(f"status/{status.id}"),
        "id": status.id,
        "name": status.name,
        "description": "",
        "iconUrl": f"{face.base}/images/icons/statuses/{status.id}.png",
        "statusCategory": category(face, status),
    }


def category(face: Face, status: Status) -> JSON:
    id, name, colour = CATEGORY_NAMES[status.category]
    link = face.link(f"statuscategory/{id}")
    return {"self": link, "id": id, "key": status.category, "name": name, "colorName": colour}


def priority(face: Face, name: str) -> JSON:
    id = PRIORITIES[name]
    icon = f"{face.base}/images/icons/priorities/{name.lower()}.svg"
    return {"self": face.link(f"priority/{id}"), "id": id, "name": name, "iconUrl": icon}


def resolution(face: Face, name: str) -> JSON:
    id = RESOLUTIONS[name]
    return {"self": face.link(f"resolution/{id}"), "id": id, "name": name, "description": ""}


def team(face: Face, name: str) -> JSON:
    return {"self": face.link(f"customFieldOption/{TEAMS[name]}"), "id": TEAMS[name], "value": name}


def link_type(face: Face, kind: LinkType) -> JSON:
    return {
        "self": face.link(f"issueLinkType/{kind.id}"),
        "id": kind.id,
        "name": kind.name,
        "inward": kind.inward,
        "outward": kind.outward,
    }


def named_issue_type(face: Face, name: str) -> JSON:
    return issue_type(face, ISSUE_TYPES[name])


def named_status(face: Face, name: str) -> JSON:
    return status(face, STATUSES[name])


def named_project(face: Face, key: str) -> JSON:
    return project(face, PROJECTS[key])


def html(body: Body | None) -> str:
    """A rich text, roughly as Jira shows it."""
    return "".join(f"<p>{escape(block)}</p>" for block in (as_wiki(body) or "").split("\n\n") if block)
