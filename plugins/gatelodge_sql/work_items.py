"""The rows of the three analytics tables, and putting a tenant's whole set of them in place of what was there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from gatelodge.storage.postgres import Connection

SET_TENANT = "SELECT set_config('app.current_tenant_id', $1, true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """An issue as it is now; `status_category` is one of `undefined new indeterminate done`."""

    instance_id: str
    issue_key: str
    project_key: str
    issue_type: str
    title: str
    status: str
    status_category: str
    priority: str | None
    assignee: str | None
    reporter: str | None
    team: str | None
    labels: tuple[str, ...]
    story_points: Decimal | None
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of an issue's status."""

    instance_id: str
    issue_key: str
    from_status: str
    to_status: str
    author: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMetrics:
    """One project's day, in UTC: what happened on it, and what was open and in progress at its end."""

    project_key: str
    day: date
    created: int
    resolved: int
    open: int
    wip: int
    avg_lead_time_hours: Decimal | None
    avg_cycle_time_hours: Decimal | None


async def replace_work_items(
    connection: Connection,
    tenant: UUID,
    items: Iterable[WorkItem],
    transitions: Iterable[Transition],
    metrics: Iterable[DailyMetrics],
) -> None:
    """Replace all that the tenant has, or nothing. The connection is one of the tables' owner."""
    async with connection.transaction():
        await connection.execute(SET_TENANT, str(tenant))
        await _replace(connection, tenant, "work_items", WorkItem, items)
        await _replace(connection, tenant, "work_item_transitions", Transition, transitions)
        await _replace(connection, tenant, "work_item_metrics_daily", DailyMetrics, metrics)


async def _replace(connection: Connection, tenant: UUID, table: str, kind: type[Any], rows: Iterable[Any]) -> None:
    """By way of a temporary table: COPY does not go into one with row-level security."""
    names = [field.name for field in fields(kind)]
    record = attrgetter(*names)
    await connection.execute(f"CREATE TEMP TABLE incoming (LIKE {table}) ON COMMIT DROP")
    await connection.copy_records_to_table(
        "incoming", records=[(tenant, *record(row)) for row in rows], columns=["tenant_id", *names]
    )
    await connection.execute(f"DELETE FROM {table} WHERE tenant_id = $1", tenant)
    columns = ", ".join(["tenant_id", *names])
    await connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming")
    await connection.execute("DROP TABLE incoming")
