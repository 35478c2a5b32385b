"""What the audit tells of the calls of the last days: which are slow, which fail, and who makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

TIMEOUT = 120.0
"""Seconds for a query: it reads every row of its days."""

ERRORS = "count(*) FILTER (WHERE outcome NOT IN ('ok', 'replayed', 'input_required'))"
CALLS = "FROM audit_logs WHERE tool IS NOT NULL AND kind <> 'intent' AND created_at > now() - $1 * interval '1 day'"
BY_TOOL = f"""
SELECT tool, count(*) AS calls, {ERRORS} AS errors,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms)::numeric, 1)::float8 AS p50_ms,
       round(percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)::numeric, 1)::float8 AS p95_ms,
       round(max(duration_ms)::numeric, 1)::float8 AS max_ms
{CALLS} GROUP BY tool ORDER BY p95_ms DESC NULLS LAST, tool"""
BY_OUTCOME = f"""
SELECT outcome, count(*) AS calls {CALLS} AND outcome NOT IN ('ok', 'replayed', 'input_required')
GROUP BY outcome ORDER BY calls DESC, outcome"""
BY_TENANT = f"""
SELECT a.tenant_id::text AS tenant, max(t.name) AS name, count(*) AS calls, {ERRORS} AS errors,
       count(DISTINCT user_id) AS users
FROM audit_logs AS a LEFT JOIN tenants AS t ON t.id = a.tenant_id
WHERE tool IS NOT NULL AND kind <> 'intent' AND a.created_at > now() - $1 * interval '1 day'
GROUP BY a.tenant_id ORDER BY calls DESC, tenant LIMIT $2"""
REFUSED = """
SELECT count(*) FROM audit_logs
WHERE action = 'authentication' AND created_at > now() - $1 * interval '1 day'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Rows as JSON objects; durations in milliseconds, `refused_logins` at the door."""

    days: float
    calls: int
    failed: int
    tools: list[dict[str, Any]]
    templates: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    tenants: list[dict[str, Any]]
    refused_logins: int

    @property
    def error_rate(self) -> float:
        """Of all calls, 0 to 1."""
        return self.failed / self.calls if self.calls else 0.0


async def report(pool: Pool[Any], *, days: float = 7.0, most: int = 20) -> Report:
    """Over the last `days`; the slowest `most` first."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        tools = await _rows(connection, BY_TOOL, days)
        errors = await _rows(connection, BY_OUTCOME, days)
        tenants = await _rows(connection, BY_TENANT, days, most)
        refused = await connection.fetchval(REFUSED, days, timeout=TIMEOUT)
    templates = [row for row in tools if row["tool"].startswith("sql.")]
    others = [row for row in tools if not row["tool"].startswith("sql.")]
    return Report(
        days=days,
        calls=sum(row["calls"] for row in tools),
        failed=sum(row["errors"] for row in tools),
        tools=others[:most],
        templates=templates[:most],
        errors=errors,
        tenants=tenants,
        refused_logins=refused,
    )


async def _rows(connection: Connection, query: str, *values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(query, *values, timeout=TIMEOUT)]
