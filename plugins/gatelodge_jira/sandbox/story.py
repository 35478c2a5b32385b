"""What happened in the demo company over the last half year, from a seed: for the sandbox and the tables alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from . import prose
from .prose import ADF
from .world import ISSUE_TYPES, PEOPLE, PRIORITIES, PROJECTS, RESOLUTIONS, STATUSES, Category, Project

SEED = 7
"""Of the story that everyone is told who does not ask for another."""
DAYS = 180
SIZES = {"PAY": 900, "WEB": 800, "OPS": 700}
FIRST_ID = 10_000
EPICS = 20
"""How many of a project's first issues are epics, where it has such."""
INSTANCE = "sandbox"
"""The name of the Jira instance that tells this story."""
QUICK = timedelta(minutes=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """An issue going from one status to another; `author` is a person's `name`."""

    at: datetime
    author: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A comment; `author` is a person's `name`."""

    id: int
    at: datetime
    author: str
    body: ADF


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryIssue:
    """An issue as it is at the end, and how it came there. People are given by `name`, times are UTC, whole seconds."""

    id: int
    key: str
    project: str
    issue_type: str
    summary: str
    description: ADF
    status: str
    resolution: str | None
    priority: str
    reporter: str
    assignee: str | None
    team: str | None
    labels: tuple[str, ...]
    story_points: int | None
    parent: str | None
    due: date | None
    created: datetime
    updated: datetime
    resolved: datetime | None
    changes: tuple[StatusChange, ...]
    remarks: tuple[Remark, ...]

    @property
    def category(self) -> Category:
        return STATUSES[self.status].category


@dataclass(frozen=True, slots=True)
class StoryLink:
    """`source` does what the type's outward phrase says to `target`: source blocks target."""

    id: int
    type: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Story:
    """The whole of it. Nothing happens at or after midnight UTC on the morning of `today`; due dates may lie later."""

    seed: int
    today: date
    issues: tuple[StoryIssue, ...]
    links: tuple[StoryLink, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a status is usually kept, in hours, and what follows it how often."""

    hours: float
    after: Mapping[str, int]


PACES: Mapping[str, Mapping[str, Pace]] = {
    "PAY": {
        "To Do": Pace(420, {"In Progress": 92, "Done": 8}),
        "In Progress": Pace(90, {"In Review": 88, "Blocked": 12}),
        "In Review": Pace(50, {"Done": 78, "In Progress": 22}),
        "Blocked": Pace(90, {"In Progress": 100}),
    },
    "WEB": {
        "Backlog": Pace(700, {"Selected": 90, "Done": 10}),
        "Selected": Pace(120, {"In Progress": 95, "Backlog": 5}),
        "In Progress": Pace(110, {"Done": 95, "Selected": 5}),
    },
    "OPS": {
        "Open": Pace(24, {"Investigating": 100}),
        "Investigating": Pace(60, {"Mitigated": 70, "Resolved": 30}),
        "Mitigated": Pace(90, {"Resolved": 100}),
        "Resolved": Pace(400, {"Closed": 94, "Investigating": 6}),
    },
}


def generate(seed: int, today: date) -> Story:
    """About 2,400 issues in three projects over the 180 days before `today`: the same for the same arguments."""
    chance = Random(seed)
    end = datetime.combine(today, time(), UTC)
    issues = tuple(issue for project in PROJECTS.values() for issue in _project(chance, project, end))
    return Story(seed, today, issues, tuple(_links(chance, issues)))


def _project(chance: Random, project: Project, end: datetime) -> Iterator[StoryIssue]:
    births = sorted(_birth(chance, end, project.key) for _ in range(SIZES[project.key]))
    epics: list[str] = []
    first = FIRST_ID * (1 + list(PROJECTS).index(project.key))
    for number, created in enumerate(births, start=1):
        key = f"{project.key}-{number}"
        kind = _kind(chance, project, number)
        yield _issue(chance, project, first + number, key, kind, created, end, epics)
        if kind == "Epic":
            epics.append(key)


def _birth(chance: Random, end: datetime, project: str) -> datetime:
    while (birth := _workday(project, end - timedelta(seconds=chance.randrange(3600, DAYS * 86_400)))) >= end:
        pass
    return birth


def _kind(chance: Random, project: Project, number: int) -> str:
    kinds = [kind for kind in project.issue_types if ISSUE_TYPES[kind].level == 0]
    if "Epic" in project.issue_types and number <= EPICS:
        return "Epic"
    return chance.choices(kinds, weights=(5, 2, 3)[: len(kinds)])[0]


def _issue(
    chance: Random, project: Project, id: int, key: str, kind: str, created: datetime, end: datetime, epics: list[str]
) -> StoryIssue:
    reporter, assignee = chance.choice(PEOPLE).name, chance.choice(PEOPLE).name
    changes = tuple(_walk(chance, project, created, end, assignee))
    remarks = tuple(_remarks(chance, id, created, end))
    status = changes[-1].after if changes else project.initial
    summary = prose.title(chance, project.key, kind)
    return StoryIssue(
        id=id,
        key=key,
        project=project.key,
        issue_type=kind,
        summary=summary,
        description=prose.description(chance, summary, kind),
        status=status,
        resolution=_resolution(chance, changes),
        priority=chance.choices(list(PRIORITIES), weights=(1, 4, 10, 4, 1))[0],
        reporter=reporter,
        assignee=assignee if changes or chance.random() < 0.6 else None,
        team=chance.choice((*project.teams, *project.teams, *project.teams, None)),
        labels=tuple(sorted(chance.sample(prose.LABELS, chance.choices((0, 1, 2, 3), weights=(4, 3, 2, 1))[0]))),
        story_points=chance.choice((1, 2, 3, 5, 8, None)) if kind in ("Story", "Task", "Bug") else None,
        parent=chance.choice(epics) if epics and kind != "Epic" and chance.random() < 0.7 else None,
        due=created.date() + timedelta(days=chance.randrange(5, 60)) if chance.random() < 0.4 else None,
        created=created,
        updated=max((created, *(change.at for change in changes), *(remark.at for remark in remarks))),
        resolved=_resolved(changes),
        changes=changes,
        remarks=remarks,
    )


def _walk(chance: Random, project: Project, created: datetime, end: datetime, assignee: str) -> Iterator[StatusChange]:
    """The way through the workflow until its end, or until the story's."""
    status, at = project.initial, created
    while (pace := PACES[project.key].get(status)) is not None:
        at = max(
            _workday(project.key, at + timedelta(seconds=int(chance.expovariate(1 / pace.hours) * 3600))), at + QUICK
        )
        if at >= end:
            return
        after = chance.choices(list(pace.after), weights=list(pace.after.values()))[0]
        author = project.lead if after == "Closed" else assignee
        yield StatusChange(at=at, author=author, before=status, after=after)
        status = after


def _workday(project: str, at: datetime) -> datetime:
    """The same minute in the next working hour; operations never sleep."""
    if project == "OPS":
        return at
    if not 7 <= at.hour < 18:
        at += timedelta(hours=(31 - at.hour) % 24)
    return at + timedelta(days=8 - at.isoweekday() if at.isoweekday() > 5 else 0)


def _resolved(changes: tuple[StatusChange, ...]) -> datetime | None:
    """When it was done for the last time, if it still is."""
    resolved = None
    for change in changes:
        if STATUSES[change.after].category != "done":
            resolved = None
        elif resolved is None:
            resolved = change.at
    return resolved


def _resolution(chance: Random, changes: tuple[StatusChange, ...]) -> str | None:
    if _resolved(changes) is None:
        return None
    if STATUSES[changes[-1].before].category == "new":
        return chance.choice(list(RESOLUTIONS)[1:])
    return "Done"


def _remarks(chance: Random, issue_id: int, created: datetime, end: datetime) -> Iterator[Remark]:
    at = created
    for number in range(chance.choices((0, 1, 2, 3, 12), weights=(50, 25, 14, 10, 1))[0]):
        at += timedelta(seconds=chance.randrange(600, 5 * 86_400))
        if at >= end:
            return
        yield Remark(id=issue_id * 100 + number, at=at, author=chance.choice(PEOPLE).name, body=prose.remark(chance))


def _links(chance: Random, issues: tuple[StoryIssue, ...]) -> Iterator[StoryLink]:
    """Some links within a project, and incidents that broke something in another."""
    kinds = ("Blocks", "Blocks", "Relates", "Duplicate")
    id = FIRST_ID
    for n, issue in enumerate(issues):
        if n == 0 or chance.random() > 0.12:
            continue
        other = chance.choice(issues[max(0, n - 150) : n])
        kind = chance.choice(kinds) if other.project == issue.project else "Problem/Incident"
        id += 1
        yield StoryLink(id, kind, issue.key, other.key)
