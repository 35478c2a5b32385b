"""What a field name in JQL stands for: which values an issue has there, and what a written value may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from .bodies import plain
from .fields import absent
from .site import Issue
from .wire import PERSONS
from .world import (
    CATEGORY_NAMES,
    ISSUE_TYPES,
    PRIORITIES,
    PROJECTS,
    RESOLUTIONS,
    ROOT_CAUSE,
    STATUSES,
    STORY_POINTS,
    TEAM,
    TEAMS,
)

EQUALITY = ("=", "!=", "in", "not in", "is", "is not")
ORDERING = ("<", "<=", ">", ">=")
CONTAINING = ("~", "!~", "is", "is not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`values` are those of an issue, none when it is EMPTY. `names` leads from a written value, in small letters, to a
    value; without it any value may be written. `rank` puts values in order."""

    name: str
    values: Callable[[Issue], tuple[Any, ...]]
    kind: str = "choice"
    operators: tuple[str, ...] = EQUALITY
    names: Mapping[str, Any] | None = None
    rank: Callable[[Any], Any] = str


def _of(id: str) -> Callable[[Issue], tuple[Any, ...]]:
    def values(issue: Issue) -> tuple[Any, ...]:
        value = issue.values.get(id)
        return () if absent(value) else (value,)

    return values


def _text(*ids: str, comments: bool = False) -> Callable[[Issue], tuple[Any, ...]]:
    def values(issue: Issue) -> tuple[Any, ...]:
        bodies = [issue.values.get(id) for id in ids] + [said.body for said in issue.comments if comments]
        return tuple(text for text in map(plain, bodies) if text)

    return values


def _due(issue: Issue) -> tuple[Any, ...]:
    due = issue.values.get("duedate")
    return () if due is None else (datetime.combine(due, time(), UTC),)


def key_rank(key: str) -> tuple[str, int]:
    """Keys in the order of their projects and then their numbers."""
    project, _, number = key.rpartition("-")
    return project, int(number) if number.isdecimal() else 0


def _names(ids: Mapping[str, str]) -> dict[str, str]:
    return {**{id: name for name, id in ids.items()}, **{name.lower(): name for name in ids}}


def _things(named: Mapping[str, Any]) -> dict[str, str]:
    return _names({name: thing.id for name, thing in named.items()})


PROJECT_NAMES = {
    written.lower(): project.key for project in PROJECTS.values() for written in (project.key, project.name, project.id)
}
PEOPLE_NAMES = {
    written.lower(): person.name
    for person in PERSONS.values()
    for written in (person.name, person.key, person.account_id, person.display_name, person.email)
}
CATEGORIES = {written: key for key, (id, name, _) in CATEGORY_NAMES.items() for written in (key, str(id), name.lower())}
PRIORITY_RANK = {name: -int(id) for name, id in PRIORITIES.items()}


def _moments(name: str, values: Callable[[Issue], tuple[Any, ...]]) -> Column:
    return Column(name=name, values=values, kind="date", operators=EQUALITY + ORDERING, rank=lambda at: at)


def _searched(name: str, values: Callable[[Issue], tuple[Any, ...]]) -> Column:
    return Column(name=name, values=values, kind="text", operators=CONTAINING, rank=str.lower)


def _person(name: str) -> Column:
    shown: Callable[[str], str] = lambda who: PERSONS[who].display_name.lower()  # noqa: E731 - a key, not a function
    return Column(name=name, values=_of(name), kind="user", names=PEOPLE_NAMES, rank=shown)


ISSUE_KEY = Column(
    name="issuekey", values=lambda issue: (issue.key,), kind="key", operators=EQUALITY + ORDERING, rank=key_rank
)
STORY_POINT = Column(
    name="Story Points",
    values=_of(STORY_POINTS),
    kind="number",
    operators=EQUALITY + ORDERING,
    rank=lambda number: number,
)
TEAM_COLUMN = Column(name="Team", values=_of(TEAM), names=_names(TEAMS))
PARENT = Column(name="parent", values=_of("parent"), kind="key", rank=key_rank)
RESOLVED = _moments("resolved", _of("resolutiondate"))
DUE = _moments("due", _due)
TYPE = Column(name="issuetype", values=_of("issuetype"), names=_things(ISSUE_TYPES))

COLUMNS = {
    "project": Column(name="project", values=_of("project"), names=PROJECT_NAMES),
    "key": ISSUE_KEY,
    "issuekey": ISSUE_KEY,
    "issue": ISSUE_KEY,
    "id": ISSUE_KEY,
    "status": Column(name="status", values=_of("status"), names=_things(STATUSES)),
    "statuscategory": Column(
        name="statusCategory", values=lambda issue: (STATUSES[issue.status].category,), names=CATEGORIES
    ),
    "assignee": _person("assignee"),
    "reporter": _person("reporter"),
    "creator": _person("creator"),
    "priority": Column(
        name="priority",
        values=_of("priority"),
        names=_names(PRIORITIES),
        operators=EQUALITY + ORDERING,
        rank=PRIORITY_RANK.__getitem__,
    ),
    "issuetype": TYPE,
    "type": TYPE,
    "labels": Column(name="labels", values=lambda issue: tuple(issue.values.get("labels") or ()), kind="labels"),
    "resolution": Column(
        name="resolution", values=_of("resolution"), names={**_names(RESOLUTIONS), "unresolved": None}
    ),
    "summary": _searched("summary", _text("summary")),
    "description": _searched("description", _text("description")),
    "environment": _searched("environment", _text("environment")),
    "comment": _searched("comment", _text(comments=True)),
    "text": _searched("text", _text("summary", "description", "environment", comments=True)),
    "root cause": _searched("Root Cause", _text(ROOT_CAUSE)),
    "created": _moments("created", _of("created")),
    "createddate": _moments("created", _of("created")),
    "updated": _moments("updated", _of("updated")),
    "updateddate": _moments("updated", _of("updated")),
    "resolved": RESOLVED,
    "resolutiondate": RESOLVED,
    "due": DUE,
    "duedate": DUE,
    "story points": STORY_POINT,
    "team": TEAM_COLUMN,
    "parent": PARENT,
    "epic link": PARENT,
}
CUSTOM = {STORY_POINTS: "story points", TEAM: "team", ROOT_CAUSE: "root cause"}


def column(name: str) -> Column | None:
    """The column of a field's name or id, in any case; `cf[10016]` and `customfield_10016` are custom fields."""
    asked = name.lower()
    if custom := re.fullmatch(r"cf\[(\d+)\]", asked):
        asked = f"customfield_{custom[1]}"
    return COLUMNS.get(CUSTOM.get(asked, asked))
