"""One Jira's issues, comments, links and history, in memory; what may be changed is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .refusal import no_issue
from .story import Story, StoryIssue
from .world import LINK_TYPES, PROJECTS, ROOT_CAUSE, STATUSES, STORY_POINTS, TEAM, LinkType, Project

Body = dict[str, Any] | str
"""A rich text as it came: ADF by the third API, wiki text by the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    id: int
    author: str
    body: Body
    at: datetime
    visibility: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One field of a change: what refers to its old and new value (an id, or nothing), and how they read."""

    field: str
    field_id: str
    custom: bool = False
    before: str | None = None
    before_text: str | None = None
    after: str | None = None
    after_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    id: int
    author: str
    at: datetime
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """`source` does to `target` what the type's outward phrase says."""

    id: int
    type: LinkType
    source: str
    target: str


@dataclass(slots=True, kw_only=True)
class Issue:
    """`values` holds the fields by id: names for what has a name, a person's `name`, dates and times as such."""

    id: int
    key: str
    project: Project
    values: dict[str, Any]
    comments: list[Comment] = field(default_factory=list)
    history: list[Change] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return str(self.values["status"])


def utc_now() -> datetime:
    return datetime.now(UTC)


class Site:
    """All issues by key. `now` is the clock of what is written from here on."""

    def __init__(self, story: Story, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self.issues = {told.key: _issue(told) for told in story.issues}
        self.links = {told.id: Link(told.id, LINK_TYPES[told.type], told.source, told.target) for told in story.links}
        self._by_id = {issue.id: issue for issue in self.issues.values()}
        self._numbers = {key: sum(told.project == key for told in story.issues) for key in PROJECTS}
        self.unindexed: set[int] | None = None
        """Ids of issues made since, that searches do not find yet; `None` while the index keeps up."""
        self._last_id = 1_000_000 + max(self._by_id, default=0) * 100

    def next_id(self) -> int:
        """A number that no issue, comment, change or link has had."""
        self._last_id += 1
        return self._last_id

    def find(self, id_or_key: str) -> Issue:
        """Raises a 404 `Refusal`."""
        issue = self._by_id.get(int(id_or_key)) if id_or_key.isdecimal() else self.issues.get(id_or_key.upper())
        if issue is None:
            raise no_issue()
        return issue

    def create(self, project: Project, values: Mapping[str, Any], author: str) -> Issue:
        self._numbers[project.key] += 1
        now = self.now()
        begun = {"status": project.initial, "creator": author, "created": now, "updated": now}
        key = f"{project.key}-{self._numbers[project.key]}"
        issue = Issue(id=self.next_id(), key=key, project=project, values={**values, **begun, "project": project.key})
        self.issues[key] = self._by_id[issue.id] = issue
        if self.unindexed is not None:
            self.unindexed.add(issue.id)
        return issue

    def record(self, issue: Issue, items: Iterable[Item], author: str) -> None:
        """Write a change into the history, if there is any."""
        if changed := tuple(items):
            issue.history.append(Change(id=self.next_id(), author=author, at=self.touch(issue), items=changed))

    def comment(
        self,
        issue: Issue,
        body: Body,
        author: str,
        visibility: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Comment:
        comment = Comment(
            id=self.next_id(),
            author=author,
            body=body,
            at=self.touch(issue),
            visibility=visibility,
            properties=properties or {},
        )
        issue.comments.append(comment)
        return comment

    def touch(self, issue: Issue) -> datetime:
        """The present, which is now also when the issue was last updated."""
        now: datetime = self.now()
        issue.values["updated"] = now
        return now

    def link(self, type: LinkType, source: Issue, target: Issue) -> Link:
        """The link that is there already, or a new one."""
        for link in self.links.values():
            if (link.type, link.source, link.target) == (type, source.key, target.key):
                return link
        link = Link(self.next_id(), type, source.key, target.key)
        self.links[link.id] = link
        return link

    def links_of(self, issue: Issue) -> list[Link]:
        return [link for link in self.links.values() if issue.key in (link.source, link.target)]

    def children(self, issue: Issue) -> list[Issue]:
        return [other for other in self.issues.values() if other.values.get("parent") == issue.key]

    def delete(self, issue: Issue) -> None:
        for link in self.links_of(issue):
            del self.links[link.id]
        for child in self.children(issue):
            child.values["parent"] = None
        del self.issues[issue.key], self._by_id[issue.id]


def _issue(told: StoryIssue) -> Issue:
    values = {
        "summary": told.summary,
        "description": told.description,
        "issuetype": told.issue_type,
        "project": told.project,
        "status": told.status,
        "priority": told.priority,
        "resolution": told.resolution,
        "assignee": told.assignee,
        "reporter": told.reporter,
        "creator": told.reporter,
        "labels": told.labels,
        "duedate": told.due,
        "created": told.created,
        "updated": told.updated,
        "resolutiondate": told.resolved,
        "parent": told.parent,
        STORY_POINTS: None if told.story_points is None else float(told.story_points),
        TEAM: told.team,
        "environment": None,
        ROOT_CAUSE: None,
    }
    comments = [Comment(id=said.id, author=said.author, body=said.body, at=said.at) for said in told.remarks]
    return Issue(
        id=told.id,
        key=told.key,
        project=PROJECTS[told.project],
        values=values,
        comments=comments,
        history=_history(told),
    )


def _history(told: StoryIssue) -> list[Change]:
    return [
        Change(id=told.id * 100 + n, author=change.author, at=change.at, items=(_moved(change.before, change.after),))
        for n, change in enumerate(told.changes)
    ]


def _moved(before: str, after: str) -> Item:
    return Item(
        field="status",
        field_id="status",
        before=STATUSES[before].id,
        before_text=before,
        after=STATUSES[after].id,
        after_text=after,
    )
