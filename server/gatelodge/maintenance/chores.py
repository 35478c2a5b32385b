"""The chores themselves: each may run at any time, twice or not at all, and says what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..audit.anchors import Signer
from ..audit.archive import prune
from ..idempotency.store import expire
from ..webhooks.outbox import forget_old

if TYPE_CHECKING:
    from ..storage.postgres import Connection

MONTHS_AHEAD = 3
ROLL_UP_TIMEOUT = 900.0
"""Seconds: the first time it reads all there is."""

PARTITION = """
SELECT count(audit_logs_create_partition(((now() AT TIME ZONE 'UTC') + month * interval '1 month')::date))
FROM generate_series(0, $1) AS month"""
# From the last day that is rolled up, or the first there is; the day that is not over yet is left for tomorrow.
ROLL_UP = """
INSERT INTO call_metrics_daily (day, tenant_id, tool, calls, errors, p50_ms, p95_ms, max_ms)
SELECT (created_at AT TIME ZONE 'UTC')::date, tenant_id, tool, count(*),
       count(*) FILTER (WHERE outcome NOT IN ('ok', 'replayed', 'input_required')),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms), max(duration_ms)
FROM audit_logs
WHERE tool IS NOT NULL AND kind <> 'intent'
  AND created_at >= coalesce((SELECT max(day) + 1 FROM call_metrics_daily), '-infinity'::date) AT TIME ZONE 'UTC'
  AND created_at < date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
GROUP BY 1, 2, 3
ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What chores work on. `archive` of None keeps the audit's old months where they are."""

    connection: Connection
    retention: timedelta
    archive: Path | None
    signer: Signer | None


@dataclass(frozen=True, slots=True)
class Chore:
    """`run` answers one line that says what was done."""

    name: str
    run: Callable[[Place], Awaitable[str]]


async def forget_keys(place: Place) -> str:
    return f"{await expire(place.connection)} expired idempotency keys forgotten"


async def forget_messages(place: Place) -> str:
    return f"{await forget_old(place.connection)} old messages to operators forgotten"


async def make_partitions(place: Place) -> str:
    return f"the audit has room for {await place.connection.fetchval(PARTITION, MONTHS_AHEAD) - 1} months ahead"


async def roll_up(place: Place) -> str:
    done = await place.connection.execute(ROLL_UP, timeout=ROLL_UP_TIMEOUT)
    return f"{done.split()[-1]} daily rows of calls added"


async def archive_audit(place: Place) -> str:
    """Old months become files; a month goes only once its file is whole."""
    if place.archive is None:
        return "nothing dropped: GATELODGE_ARCHIVE_DIR is not set"
    place.archive.mkdir(parents=True, exist_ok=True, mode=0o700)
    months = [month async for month in prune(place.connection, place.archive, place.retention, place.signer)]
    return ", ".join(f"{month.partition}: {month.rows} rows to {month.file}" for month in months) or "no month is due"


CHORES = (
    Chore("idempotency_keys", forget_keys),
    Chore("webhook_messages", forget_messages),
    Chore("audit_partitions", make_partitions),
    Chore("call_metrics", roll_up),
    Chore("audit_archive", archive_audit),
)
"""In their order: calls are counted before the rows that tell of them may go."""
