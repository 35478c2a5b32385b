"""Daily metrics out of issues and their transitions.

Lead time runs from creation to resolution, cycle time from the first status change to resolution; a day's averages are
of the issues resolved on it. A reopened issue counts as if it had been open throughout.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from .work_items import DailyMetrics, Transition, WorkItem

IN_PROGRESS = "indeterminate"
HOUR = timedelta(hours=1)
CENT = Decimal("0.01")

Changes = Mapping[tuple[str, str], Sequence[Transition]]


def daily_metrics(
    items: Sequence[WorkItem], transitions: Iterable[Transition], categories: Mapping[str, str], first: date, last: date
) -> list[DailyMetrics]:
    """One row for each project and day from `first` to `last`. `categories` gives the category of each status."""
    changes = _by_issue(transitions)
    projects: defaultdict[str, list[WorkItem]] = defaultdict(list)
    for item in items:
        projects[item.project_key].append(item)
    return [
        day for key in sorted(projects) for day in _project_days(key, projects[key], changes, categories, first, last)
    ]


def _project_days(
    key: str, items: Sequence[WorkItem], changes: Changes, categories: Mapping[str, str], first: date, last: date
) -> Iterator[DailyMetrics]:
    created = Counter(_day(item.created_at) for item in items)
    resolved: defaultdict[date, list[WorkItem]] = defaultdict(list)
    for item in items:
        if item.resolved_at is not None:
            resolved[_day(item.resolved_at)].append(item)
    moves = _moves(items, changes, categories)
    open_ = sum(n for day, n in created.items() if day < first)
    open_ -= sum(len(done) for day, done in resolved.items() if day < first)
    wip = sum(n for day, n in moves.items() if day < first)
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        done = resolved.get(day, [])
        open_ += created[day] - len(done)
        wip += moves[day]
        yield DailyMetrics(
            project_key=key,
            day=day,
            created=created[day],
            resolved=len(done),
            open=open_,
            wip=wip,
            avg_lead_time_hours=_average(_hours(item.created_at, item) for item in done),
            avg_cycle_time_hours=_average(
                _hours(changes[_key(item)][0].at, item) for item in done if changes.get(_key(item))
            ),
        )


def _moves(items: Sequence[WorkItem], changes: Changes, categories: Mapping[str, str]) -> Counter[date]:
    """By how much each day changes the number of issues in progress."""
    moves: Counter[date] = Counter()
    for item in items:
        history = changes.get(_key(item), [])
        started = history[0].from_status if history else item.status
        moves[_day(item.created_at)] += categories.get(started) == IN_PROGRESS
        for change in history:
            after, before = categories.get(change.to_status), categories.get(change.from_status)
            moves[_day(change.at)] += (after == IN_PROGRESS) - (before == IN_PROGRESS)
    return moves


def _by_issue(transitions: Iterable[Transition]) -> Changes:
    changes: defaultdict[tuple[str, str], list[Transition]] = defaultdict(list)
    for change in sorted(transitions, key=lambda change: change.at):
        changes[change.instance_id, change.issue_key].append(change)
    return changes


def _key(item: WorkItem) -> tuple[str, str]:
    return item.instance_id, item.issue_key


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _hours(since: datetime, item: WorkItem) -> Decimal:
    assert item.resolved_at is not None
    return Decimal((item.resolved_at - since) / HOUR)


def _average(hours: Iterable[Decimal]) -> Decimal | None:
    values = list(hours)
    return (sum(values, Decimal()) / len(values)).quantize(CENT) if values else None
