"""The six templates, each against its meaning worked out in Python from the same rows."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import mean
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gatelodge import LOCAL_TENANT
from gatelodge_sql.metrics import daily_metrics
from gatelodge_sql.work_items import DailyMetrics, Transition, WorkItem, replace_work_items

from .conftest import Gate

OTHER_TENANT = UUID(int=2)
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()
HOUR = timedelta(hours=1)
FLOW = ["To Do", "In Progress", "In Review", "Done"]
CATEGORIES = {"To Do": "new", "In Progress": "indeterminate", "In Review": "indeterminate", "Done": "done"}
PEOPLE = ["Ada Novak", "Ben O'Hara", "Çelik % _", None]
WORDS = ["login", "page", "crashes", "export", "slow", "invoice", "ünïcode", "search", "payment", "fails"]


@dataclass(frozen=True, slots=True)
class Rows:
    items: Sequence[WorkItem]
    changes: Sequence[Transition]
    metrics: Sequence[DailyMetrics]

    def history(self, item: WorkItem) -> list[Transition]:
        mine = [change for change in self.changes if change.issue_key == item.issue_key]
        return sorted(mine, key=lambda change: change.at)


def make_rows(seed: int, count: int = 150) -> Rows:
    """Two projects of issues in every state, over the last 120 days, with ties in every sort key but the last."""
    chance = random.Random(seed)
    items, changes = [], []
    for number in range(1, count + 1):
        item, history = _issue(chance, f"{'SHOP' if number % 3 else 'OPS'}-{number}")
        items.append(item)
        changes.extend(history)
    metrics = daily_metrics(items, changes, CATEGORIES, TODAY - timedelta(days=59), TODAY)
    return Rows(items, changes, metrics)


def _issue(chance: random.Random, key: str) -> tuple[WorkItem, list[Transition]]:
    created = NOW - timedelta(days=chance.randint(1, 120), seconds=chance.randint(0, 86_400))
    state, at, history = chance.randint(0, 3), created, []
    for before, after in pairwise(FLOW[: state + 1]):
        at += (NOW - at) * chance.uniform(0.05, 0.6)
        at = at.replace(microsecond=0)
        history.append(
            Transition(
                instance_id="main", issue_key=key, from_status=before, to_status=after, author="Ada Novak", at=at
            )
        )
    item = WorkItem(
        instance_id="main",
        issue_key=key,
        project_key=key.partition("-")[0],
        issue_type=chance.choice(["Bug", "Story"]),
        title=" ".join(chance.sample(WORDS, 4)),
        status=FLOW[state],
        status_category=CATEGORIES[FLOW[state]],
        priority=chance.choice(["High", "Low", None]),
        assignee=chance.choice(PEOPLE),
        reporter="Ada Novak",
        team=chance.choice(["Red", "Blue", None]),
        labels=("a", "b"),
        story_points=chance.choice([None, Decimal(1), Decimal("2.5")]),
        created_at=created,
        updated_at=NOW - timedelta(days=chance.randint(0, 5)),
        resolved_at=at if state == 3 else None,
    )
    return item, history


@pytest.fixture
async def rows(pool: asyncpg.Pool) -> Rows:
    """Rows of the local tenant, among those of another tenant with the same keys."""
    mine, others = make_rows(1), make_rows(2)
    async with pool.acquire() as connection:
        for tenant, some in ((LOCAL_TENANT, mine), (OTHER_TENANT, others)):
            await replace_work_items(connection, tenant, some.items, some.changes, some.metrics)
    return mine


def picked(item: WorkItem, *names: str) -> dict[str, Any]:
    return {name: getattr(item, name) for name in names}


# --- search_issues_by_project ---

SHOWN = ("issue_key", "title", "issue_type", "status", "priority", "assignee", "team")
TIMES = ("created_at", "updated_at", "resolved_at")


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "Done"},
        {"assignee": "Ben O'Hara"},
        {"assignee": "Çelik % _"},
        {"priority": "High"},
        {"status": "In Progress", "assignee": "Ada Novak", "priority": "Low"},
        {"status": "done"},
        {"status": "' OR true --"},
    ],
)
async def test_issues_of_a_project(gate: Gate, rows: Rows, filters: dict[str, str]) -> None:
    """The project's issues that pass every filter, the last updated first, page by page."""
    wanted = [
        item
        for item in rows.items
        if item.project_key == "SHOP" and all(getattr(item, name) == value for name, value in filters.items())
    ]
    wanted.sort(key=lambda item: (item.updated_at, item.issue_key), reverse=True)
    answered = await gate.rows("search_issues_by_project", project_key="SHOP", limit=13, **filters)
    assert [row.pop("story_points") for row in answered] == [item.story_points for item in wanted]
    assert answered == [picked(item, *SHOWN, *TIMES) for item in wanted]


# --- get_project_metrics ---


@pytest.mark.parametrize("days", [1, 30, 60, 365])
async def test_metrics_of_a_project(gate: Gate, rows: Rows, days: int) -> None:
    """One row a day with what happened on it and what was open at its end, counted from the issues."""
    answered = await gate.rows("get_project_metrics", project_key="OPS", days=days)
    first = TODAY - timedelta(days=min(days, 60) - 1)
    assert [row["day"] for row in answered] == [first + timedelta(days=n) for n in range(min(days, 60))]
    mine = [item for item in rows.items if item.project_key == "OPS"]
    for row in answered:
        assert row == _counted(mine, rows, row["day"])


def _counted(items: Iterable[WorkItem], rows: Rows, day: date) -> dict[str, Any]:
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    mine = list(items)
    done = [item for item in mine if item.resolved_at and item.resolved_at.date() == day]
    alive = [item for item in mine if item.created_at < end]
    return {
        "day": day,
        "created": sum(item.created_at.date() == day for item in mine),
        "resolved": len(done),
        "open": sum(item.resolved_at is None or item.resolved_at >= end for item in alive),
        "wip": sum(CATEGORIES[_status_at(item, rows, end)] == "indeterminate" for item in alive),
        "avg_lead_time_hours": _mean([_lead(item) for item in done]),
        "avg_cycle_time_hours": _mean([_cycle(item, rows) for item in done]),
    }


def _status_at(item: WorkItem, rows: Rows, end: datetime) -> str:
    status = "To Do"
    for change in rows.history(item):
        if change.at < end:
            status = change.to_status
    return status


def _lead(item: WorkItem) -> float:
    assert item.resolved_at is not None
    return (item.resolved_at - item.created_at) / HOUR


def _cycle(item: WorkItem, rows: Rows) -> float:
    assert item.resolved_at is not None
    return (item.resolved_at - rows.history(item)[0].at) / HOUR


def _mean(values: list[float]) -> Any:
    return pytest.approx(mean(values), abs=0.006) if values else None


# --- search_issues_by_text ---


async def test_issues_with_a_similar_title(gate: Gate, rows: Rows) -> None:
    """A word of the title finds every issue that has it, in the named projects alone."""
    answered = await gate.rows("search_issues_by_text", query="invoice", project_keys=["OPS", "NONE"], limit=5)
    wanted = {item.issue_key for item in rows.items if item.project_key == "OPS" and "invoice" in item.title}
    assert [row["issue_key"] for row in answered] == sorted(wanted)
    assert {row["similarity"] for row in answered} == {1.0}
    both = await gate.rows("search_issues_by_text", query="invoice", project_keys=["OPS", "SHOP"])
    assert len(both) == sum("invoice" in item.title for item in rows.items)


@pytest.mark.parametrize("query", ["invoce", "INVOICE", "  invoice!"])
async def test_a_title_is_found_by_a_misspelt_word(gate: Gate, rows: Rows, query: str) -> None:
    """Case, blanks, punctuation and a slip of the finger do not hide an issue."""
    answered = await gate.rows("search_issues_by_text", query=query, project_keys=["SHOP"])
    wanted = {item.issue_key for item in rows.items if item.project_key == "SHOP" and "invoice" in item.title}
    assert {row["issue_key"] for row in answered} == wanted


async def test_the_closest_title_comes_first(gate: Gate, rows: Rows) -> None:
    """Similarity falls from row to row."""
    target = rows.items[0]
    answered = await gate.rows("search_issues_by_text", query=target.title, project_keys=[target.project_key])
    assert answered[0]["title"] == target.title
    similarities = [row["similarity"] for row in answered]
    assert similarities == sorted(similarities, reverse=True)


# --- get_issue_history ---


async def test_history_of_an_issue(gate: Gate, rows: Rows) -> None:
    """Every status change in order, with the hours that were spent in the status it left."""
    for item in rows.items[:20]:
        before, wanted = item.created_at, []
        for change in rows.history(item):
            hours = pytest.approx((change.at - before) / HOUR, abs=0.006)
            shown = {name: getattr(change, name) for name in ("at", "from_status", "to_status", "author")}
            wanted.append(shown | {"hours_in_from_status": hours})
            before = change.at
        assert await gate.rows("get_issue_history", issue_key=item.issue_key, limit=2) == wanted


# --- get_user_workload ---


@pytest.mark.parametrize("status", [None, ["Done"], ["To Do", "In Review"], ["Nothing"]])
@pytest.mark.parametrize("person", ["Ada Novak", "Ben O'Hara", "Nobody"])
async def test_workload_of_a_person(gate: Gate, rows: Rows, person: str, status: list[str] | None) -> None:
    """What the person has, by project and status: all that is not done, or just the statuses that are named."""
    groups: defaultdict[tuple[str, str], list[WorkItem]] = defaultdict(list)
    for item in rows.items:
        if item.assignee == person and (item.status in status if status else item.status_category != "done"):
            groups[item.project_key, item.status].append(item)
    arguments = {"assignee": person} | ({"status": status} if status else {})
    assert await gate.rows("get_user_workload", **arguments) == [
        {
            "project_key": project,
            "status": name,
            "issues": len(group),
            "story_points": float(sum(item.story_points or 0 for item in group)),
            "oldest_created_at": min(item.created_at for item in group),
            "last_updated_at": max(item.updated_at for item in group),
        }
        for (project, name), group in sorted(groups.items())
    ]


# --- lead_time_metrics ---


@pytest.mark.parametrize(
    "filters", [{}, {"project_key": "SHOP"}, {"team": "Red"}, {"project_key": "OPS", "team": "Blue"}, {"team": "None"}]
)
@pytest.mark.parametrize("days", [1, 20, 365])
async def test_lead_times(gate: Gate, rows: Rows, filters: dict[str, str], days: int) -> None:
    """Averages, medians and 85th percentiles of what each team resolved since the first of these days."""
    groups: defaultdict[tuple[str, str | None], list[WorkItem]] = defaultdict(list)
    for item in rows.items:
        matches = all(getattr(item, name) == value for name, value in filters.items())
        if item.resolved_at and item.resolved_at.date() > TODAY - timedelta(days=days) and matches:
            groups[item.project_key, item.team].append(item)
    answered = await gate.rows("lead_time_metrics", days=days, **filters)
    ordered = sorted(groups.items(), key=lambda pair: (pair[0][0], pair[0][1] is None, pair[0][1]))
    assert answered == [
        {
            "project_key": project,
            "team": team,
            "resolved": len(group),
            **_summary("lead_time_hours", [_lead(item) for item in group]),
            **_summary("cycle_time_hours", [_cycle(item, rows) for item in group]),
        }
        for (project, team), group in ordered
    ]


def _summary(name: str, hours: list[float]) -> dict[str, Any]:
    return {
        f"avg_{name}": pytest.approx(mean(hours), abs=0.006),
        f"median_{name}": pytest.approx(_percentile(hours, 0.5), abs=0.006),
        f"p85_{name}": pytest.approx(_percentile(hours, 0.85), abs=0.006),
    }


def _percentile(values: list[float], share: float) -> float:
    """Linear interpolation between the closest ranks, as `percentile_cont` does."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


# --- all of them ---

CALLS = [
    ("search_issues_by_project", {"project_key": "SHOP"}),
    ("get_project_metrics", {"project_key": "SHOP"}),
    ("search_issues_by_text", {"query": "invoice", "project_keys": ["SHOP"]}),
    ("get_issue_history", {"issue_key": "SHOP-1"}),
    ("get_user_workload", {"assignee": "Ada Novak"}),
    ("lead_time_metrics", {}),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
async def test_a_tenant_without_rows_sees_none(gate: Gate, rows: Rows, name: str, arguments: dict[str, Any]) -> None:
    """What others have in the same tables is not there for a tenant that has nothing."""
    assert (await gate.page(name, tenant=UUID(int=3), **arguments))["rows"] == []


@pytest.mark.parametrize(("name", "arguments"), CALLS[:3] + CALLS[4:])
async def test_each_tenant_sees_its_own(gate: Gate, rows: Rows, name: str, arguments: dict[str, Any]) -> None:
    """Two tenants with the same keys get different answers to the same question."""
    mine = await gate.rows(name, **arguments)
    others = await gate.rows(name, tenant=OTHER_TENANT, **arguments)
    assert mine
    assert others
    assert mine != others


async def test_replacing_leaves_nothing_of_before(gate: Gate, rows: Rows, pool: asyncpg.Pool) -> None:
    """A tenant's rows are replaced as a whole, and nobody else's."""
    one = replace(rows.items[0], title="the only one", project_key="SHOP")
    async with pool.acquire() as connection:
        await replace_work_items(connection, LOCAL_TENANT, [one], [], [])
    assert [row["title"] for row in await gate.rows("search_issues_by_project", project_key="SHOP")] == ["the only one"]
    assert await gate.rows("get_issue_history", issue_key=one.issue_key) == []
    assert await gate.rows("get_project_metrics", project_key="SHOP") == []
    assert await gate.rows("get_project_metrics", project_key="SHOP", tenant=OTHER_TENANT)
