"""Alerts as a plugin: a call costs two clock readings and an addition; everything else is done between calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from secrets import token_hex
from time import perf_counter

from prometheus_client.registry import Collector

from ..contract import Call, Event, HealthCheck, Middleware, Next, Phase, Recorder, Result
from ..dispatch import answered
from ..errors import FAULTS, ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..processes.replica import replica
from ..settings import Environment
from ..storage import Storage
from ..switches import Switch
from ..switches.changes import FAILURES
from .board import Board, State
from .rules import RULES
from .settings import ENABLED, RESPONSE_TIME, AlertSettings, thresholds_of
from .window import Window

logger = logging.getLogger(__name__)

STALE = 6
"""Times that a server may miss to say what it counted before it counts as gone."""


class AlertsPlugin:
    """Each server counts its own calls; what fires is decided over those of all, and told by one of them.

    While Postgres is gone nothing is decided: that the audit cannot be written is told then, by each server.
    """

    def __init__(self) -> None:
        self._settings = AlertSettings()
        self._window = Window(self._settings.window, perf_counter())
        self._slow = self._settings.response_time
        self._state = State()
        self._status = "nothing counted yet"
        self._fault: str | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(AlertSettings)
        self._window = Window(self._settings.window, perf_counter())

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        return self._settings.switches()

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("alerts", Phase.METRICS, self.handle),)

    @hookimpl
    def gatelodge_recorders(self) -> Sequence[Recorder]:
        return (self.record,)

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = (
            "which tools, and how: gatelodge report --days 1; one by one: gatelodge audit search --outcome upstream_5xx"
        )
        return (HealthCheck("alerts", self.check, critical=False, advice=advice),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (Reading("gatelodge_alert_firing", "1 while the alert fires.", self._firing, "alert"),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        storage.switches.follow(RESPONSE_TIME, self._set_slow)
        board = Board(
            storage.postgres,
            f"{replica()}/{token_hex(2)}",  # several servers may live in one process
            seconds=self._window.seconds,
            stale=timedelta(seconds=STALE * self._window.width),
        )
        watching = asyncio.create_task(self._watch(board, storage), name="alerts")
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            with suppress(*FAILURES):  # a server that cannot say goodbye is taken for gone after a while
                await board.leave()

    async def handle(self, call: Call, call_next: Next) -> Result:
        started = perf_counter()
        result = await answered(call_next, call)
        if not result.questions:
            ended = perf_counter()
            fault = result.error is not None and result.error.code in FAULTS and not result.replayed
            self._window.add(ended, fault=fault, slow=1000 * (ended - started) >= self._slow)
        return result

    def record(self, event: Event) -> None:
        """A request that failed at the door, through no fault of its caller."""
        if event.outcome in FAULTS:
            self._window.add(perf_counter(), fault=True, slow=False)

    async def check(self) -> str:
        """Raises for an alert that fires, and where none could be decided on."""
        if self._fault is not None:
            raise ToolError(ErrorCode.OUTCOME_UNKNOWN, self._fault)
        return self._status

    async def _watch(self, board: Board, storage: Storage) -> None:
        while True:
            await asyncio.sleep(self._window.width)
            if not storage.switches.get(ENABLED):
                self._status, self._fault = "switched off", None
                continue
            try:
                self._state = await board.say(self._window.totals(perf_counter()), thresholds_of(storage.switches))
            except Exception as error:  # a lost connection takes many forms; watching may not end by any of them
                self._fault = f"not decided: {type(error).__name__} of Postgres"
                continue
            self._describe()

    def _describe(self) -> None:
        totals, firing = self._state.totals, self._state.firing
        counted = f"{totals.calls} calls, {totals.faults} failed, {totals.slow} slow in {self._window.seconds:g} s"
        since = [f"{name} since {at:%Y-%m-%d %H:%M:%S} UTC" for name, at in sorted(firing.items())]
        self._status = counted
        self._fault = f"firing: {', '.join(since)}; {counted}" if since else None

    def _firing(self) -> dict[str, float]:
        return {rule.name: float(rule.name in self._state.firing) for rule in RULES}

    def _set_slow(self, milliseconds: float) -> None:
        self._slow = milliseconds or float("inf")
