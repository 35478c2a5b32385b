"""The analytics tables filled from a tenant's Jira: its issues, their status changes, and a day's metrics each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gatelodge_sql.metrics import daily_metrics
from gatelodge_sql.work_items import Transition, WorkItem, replace_work_items

from .api import PAGE, JiraAPI

if TYPE_CHECKING:
    from asyncpg import Pool

FIELDS = [
    *("summary", "project", "issuetype", "status", "priority", "assignee", "reporter", "labels"),
    *("created", "updated", "resolutiondate"),
]
STORY_POINTS = ("story points", "story point estimate")
TEAM = ("team",)


@dataclass(frozen=True, slots=True)
class Synced:
    """How much was read."""

    issues: int
    transitions: int
    days: int


async def sync(pool: Pool[Any], tenant: UUID, apis: Iterable[JiraAPI], projects: Sequence[str]) -> Synced:
    """Read the projects from every instance, then put them in place of all that the tenant has, or fail and keep it.

    Without `projects` all that the accounts may see are read. Raises `ToolError`.
    """
    items: list[WorkItem] = []
    transitions: list[Transition] = []
    categories: dict[str, str] = {}
    for api in apis:
        categories |= await api.status_categories()
        reader = await _Reader.open(api)
        async for page in _pages(api, projects, reader.fields):
            items += [reader.item(issue) for issue in page]
            transitions += await reader.transitions(page)
    today = datetime.now(UTC).date()
    first = min((item.created_at.date() for item in items), default=today)
    metrics = daily_metrics(items, transitions, categories, first, today)
    async with pool.acquire() as connection:
        await replace_work_items(connection, tenant, items, transitions, metrics)
    return Synced(len(items), len(transitions), len(metrics))


async def _pages(api: JiraAPI, projects: Sequence[str], fields: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
    quoted = ", ".join(f'"{key}"' for key in projects)
    jql = f"project in ({quoted})" if projects else 'created >= "1970-01-02"'
    start: str | int | None = None
    while True:
        page = await api.search(f"{jql} ORDER BY created ASC, key ASC", fields, PAGE, start)
        yield page.issues
        if page.next is None:
            return
        start = page.next


@dataclass(frozen=True, slots=True)
class _Reader:
    """Rows out of one instance's issues; custom fields are found by their names."""

    api: JiraAPI
    story_points: str | None
    team: str | None

    @classmethod
    async def open(cls, api: JiraAPI) -> _Reader:
        ids = {field["name"].casefold(): field["id"] for field in await api.fields()}
        return cls(api, _first(ids, STORY_POINTS), _first(ids, TEAM))

    @property
    def fields(self) -> list[str]:
        return [*FIELDS, *(name for name in (self.story_points, self.team) if name is not None)]

    def item(self, issue: Mapping[str, Any]) -> WorkItem:
        values = issue["fields"]
        points = values.get(self.story_points) if self.story_points else None
        return WorkItem(
            instance_id=self.api.instance.id,
            issue_key=issue["key"],
            project_key=values["project"]["key"],
            issue_type=values["issuetype"]["name"],
            title=values["summary"],
            status=values["status"]["name"],
            status_category=values["status"]["statusCategory"]["key"],
            priority=_name(values.get("priority")),
            assignee=_name(values.get("assignee")),
            reporter=_name(values.get("reporter")),
            team=_name(values.get(self.team)) if self.team else None,
            labels=tuple(values.get("labels") or ()),
            story_points=None if points is None else Decimal(str(points)),
            created_at=moment(values["created"]),
            updated_at=moment(values["updated"]),
            resolved_at=moment(values["resolutiondate"]) if values.get("resolutiondate") else None,
        )

    async def transitions(self, issues: Sequence[Mapping[str, Any]]) -> list[Transition]:
        histories = await self.api.histories(issues)
        return [
            Transition(
                instance_id=self.api.instance.id,
                issue_key=key,
                from_status=item.get("fromString") or "",
                to_status=item.get("toString") or "",
                author=_name(change.get("author")),
                at=moment(change["created"]),
            )
            for key, changes in histories.items()
            for change in changes
            for item in change["items"]
            if item["field"] == "status"
        ]


def moment(value: str | int) -> datetime:
    """A time as Jira writes it: ISO 8601, with an offset without colon, or epoch milliseconds in bulk answers."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return datetime.fromisoformat(value)


def _first(ids: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((ids[name] for name in names if name in ids), None)


def _name(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None if value is None else str(value)
    found = value.get("displayName") or value.get("name") or value.get("value") or value.get("title")
    return None if found is None else str(found)
