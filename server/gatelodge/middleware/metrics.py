"""Every call is counted and timed; how the server itself is doing is read when somebody asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from marshmallow import fields
from prometheus_client.registry import Collector

from ..contract import Call, Event, Middleware, Next, Phase, Recorder, Result
from ..dispatch import answered
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..metrics.calls import CallMetrics, target_of
from ..metrics.loop import LoopLag
from ..storage import Storage
from ..switches import Switch
from ..toolset import UNKNOWN

if TYPE_CHECKING:
    from asyncpg import Pool

ENABLED = "metrics_enabled"
KINDS = {action: kind for kind, action in UNKNOWN.items()}


class MetricsPlugin:
    """Outside the audit and the limits, so refusals and replays are counted too."""

    def __init__(self) -> None:
        self._calls = CallMetrics()
        self._lag = LoopLag()
        self._running = 0
        self._door: dict[str, float] = {}
        self._pool: Pool | None = None

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        on_or_off = fields.Boolean(truthy={True}, falsy={False})
        return (Switch(name=ENABLED, kind=on_or_off, default=True, help="Whether /metrics answers."),)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("metrics", Phase.METRICS, self.handle),)

    @hookimpl
    def gatelodge_recorders(self) -> Sequence[Recorder]:
        return (self.record,)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (
            *self._calls.collectors,
            self._lag.histogram,
            Reading("gatelodge_calls_running", "Calls under way.", lambda: self._running),
            Reading("gatelodge_door_refusals_total", "Requests refused at the door.", lambda: self._door, "code"),
            Reading("gatelodge_postgres_connections", "Connections to Postgres.", self._connections, "state"),
        )

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._pool = storage.postgres
        async with self._lag.watched():
            yield

    async def handle(self, call: Call, call_next: Next) -> Result:
        started = perf_counter()
        outcome = "cancelled"
        self._running += 1
        try:
            result = await answered(call_next, call)
            outcome = result.outcome
            return result
        finally:
            self._running -= 1
            self._calls.add(target_of(call), outcome, perf_counter() - started)

    def record(self, event: Event) -> None:
        """What never became a call."""
        kind = KINDS.get(event.action)
        if kind is not None:
            self._calls.add_unknown(kind, event.outcome)
        elif event.action == "authentication":
            self._door[event.outcome] = self._door.get(event.outcome, 0) + 1

    def _connections(self) -> dict[str, float]:
        """Of the pool: those at work, those that wait, and how many more it may open."""
        pool = self._pool
        if pool is None:
            return {}
        size, idle = pool.get_size(), pool.get_idle_size()
        return {"busy": size - idle, "idle": idle, "unopened": pool.get_max_size() - size}
