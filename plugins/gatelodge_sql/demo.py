"""The analytics tables filled with the story that the sandbox Jira tells: imported only where there is one to tell."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gatelodge_jira.sandbox.story import INSTANCE, SEED, Story, StoryIssue, generate
from gatelodge_jira.sandbox.world import PEOPLE, STATUSES

from .metrics import daily_metrics
from .work_items import SET_TENANT, DailyMetrics, Transition, WorkItem, replace_work_items

if TYPE_CHECKING:
    from asyncpg import Pool

Rows = tuple[list[WorkItem], list[Transition], list[DailyMetrics]]
SHOWN = {person.name: person.display_name for person in PEOPLE}


async def wanted(pool: Pool[Any], tenant: UUID, today: date) -> bool:
    """Whether the tenant's tables are empty or hold the demo story of another day, and nothing else."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SET_TENANT, str(tenant))
        if await connection.fetchval("SELECT EXISTS (SELECT FROM work_items WHERE instance_id <> $1)", INSTANCE):
            return False
        return bool(
            await connection.fetchval("SELECT max(day) IS DISTINCT FROM $1 FROM work_item_metrics_daily", today)
        )


async def fill(pool: Pool[Any], tenant: UUID, today: date) -> None:
    """Put the demo story up to `today` in place of all that the tenant has. The pool is one of the tables' owner."""
    items, transitions, metrics = rows(generate(SEED, today))
    async with pool.acquire() as connection:
        await replace_work_items(connection, tenant, items, transitions, metrics)


def rows(story: Story) -> Rows:
    """The story as rows of the three tables; the days of the metrics go from its first issue to its `today`."""
    items = [_item(issue) for issue in story.issues]
    transitions = [change for issue in story.issues for change in _transitions(issue)]
    categories = {name: status.category for name, status in STATUSES.items()}
    first = min((item.created_at.date() for item in items), default=story.today - timedelta(days=1))
    return items, transitions, daily_metrics(items, transitions, categories, first, story.today)


def _item(issue: StoryIssue) -> WorkItem:
    return WorkItem(
        instance_id=INSTANCE,
        issue_key=issue.key,
        project_key=issue.project,
        issue_type=issue.issue_type,
        title=issue.summary,
        status=issue.status,
        status_category=issue.category,
        priority=issue.priority,
        assignee=SHOWN[issue.assignee] if issue.assignee else None,
        reporter=SHOWN[issue.reporter],
        team=issue.team,
        labels=issue.labels,
        story_points=None if issue.story_points is None else Decimal(issue.story_points),
        created_at=issue.created,
        updated_at=issue.updated,
        resolved_at=issue.resolved,
    )


def _transitions(issue: StoryIssue) -> list[Transition]:
    return [
        Transition(
            instance_id=INSTANCE,
            issue_key=issue.key,
            from_status=change.before,
            to_status=change.after,
            author=SHOWN[change.author],
            at=change.at,
        )
        for change in issue.changes
    ]
