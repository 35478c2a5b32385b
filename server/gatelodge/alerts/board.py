"""Alerts of all servers together: each says what it counted, and whoever sees a change first makes it, for all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..webhooks.message import Message
from ..webhooks.outbox import write
from .rules import RULES, Rule, Thresholds
from .window import Totals

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

GOODBYE = 2.0
"""Seconds that a server which stops takes for it."""

TURN = "SELECT pg_advisory_xact_lock(hashtext('alerts'))"
SAY = """
INSERT INTO call_windows (replica, calls, faults, slow) VALUES ($1, $2, $3, $4)
ON CONFLICT (replica) DO UPDATE SET seen_at = now(), calls = excluded.calls, faults = excluded.faults,
                                    slow = excluded.slow"""
LEAVE = "DELETE FROM call_windows WHERE replica = $1 OR seen_at < now() - $2::interval"
SUM = """
SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(faults), 0)::bigint AS faults,
       coalesce(sum(slow), 0)::bigint AS slow, count(*) AS replicas FROM call_windows"""
FIRING = "SELECT name, changed_at FROM alerts WHERE firing"
CHANGE = """
INSERT INTO alerts (name, firing) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET firing = excluded.firing, changed_at = now()
RETURNING changed_at"""


@dataclass(frozen=True, slots=True)
class State:
    """Of all servers: what was counted, by how many, and since when which alerts fire."""

    totals: Totals = field(default_factory=Totals)
    replicas: int = 0
    firing: dict[str, datetime] = field(default_factory=dict)


class Board:
    """The `call_windows` and `alerts` tables. `seconds` is the windows' length, `stale` how long silence may last."""

    def __init__(self, pool: Pool[Any], replica: str, *, seconds: float, stale: timedelta) -> None:
        self._pool = pool
        self._replica = replica
        self._seconds = seconds
        self._stale = stale

    async def say(self, own: Totals, thresholds: Thresholds) -> State:
        """Say what was counted here, and judge what was counted everywhere. Raises what Postgres raises."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(TURN)
            await connection.execute(SAY, self._replica, own.calls, own.faults, own.slow)
            await connection.execute(LEAVE, "", self._stale)
            (*counts, replicas) = (await connection.fetch(SUM))[0]
            totals = Totals(*counts)
            firing = {row["name"]: row["changed_at"] for row in await connection.fetch(FIRING)}
            for rule in RULES:
                await self._judge(connection, rule, totals, thresholds, firing)
            return State(totals, replicas, firing)

    async def leave(self) -> None:
        """What was counted here is over with this server."""
        await self._pool.execute(LEAVE, self._replica, self._stale, timeout=GOODBYE)

    async def _judge(
        self,
        connection: Connection,
        rule: Rule,
        totals: Totals,
        thresholds: Thresholds,
        firing: dict[str, datetime],
    ) -> None:
        """Tell of a change, and put it into `firing`."""
        since = firing.get(rule.name)
        fires = rule.fires(since is not None, totals, thresholds)
        if fires == (since is not None):
            return
        changed_at = await connection.fetchval(CHANGE, rule.name, fires)
        if fires:
            firing[rule.name] = changed_at
        else:
            del firing[rule.name]
        await write(connection, self._message(rule, totals, thresholds, since))

    def _message(self, rule: Rule, totals: Totals, thresholds: Thresholds, since: datetime | None) -> Message:
        """That it fires; or, where it did since then, that it is over."""
        said = f"{rule.say(totals, thresholds)} in the last {self._seconds:g} s"
        about = {"alert": rule.name, "value": rule.value(totals), "limit": rule.limit(thresholds)}
        about |= asdict(totals) | {"thresholds": asdict(thresholds), "window_seconds": self._seconds, "since": since}
        if since is None:
            return Message(type="alert.fired", text=f"Alert {rule.name}: {said}.", data=about)
        return Message(type="alert.cleared", text=f"Alert {rule.name} is over: {said}.", data=about)
