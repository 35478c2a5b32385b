"""Error reports as a plugin: failures of the code `internal`, in a call or at the door, whatever raised them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
from marshmallow import fields
from prometheus_client.registry import Collector

from .. import __version__
from ..contract import Call, Event, HealthCheck, Middleware, Next, Phase, Recorder, Result
from ..dispatch import answered
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..processes.replica import replica
from ..settings import Environment, setting
from ..webhooks.courier import Courier
from ..webhooks.outbox import MemoryOutbox
from ..webhooks.poster import Poster
from ..webhooks.settings import WebhookSettings, receiver
from .report import Report, Subject
from .sentry import Sentry
from .sieve import Sieve


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReportSettings:
    url: str | None = setting(
        "GATELODGE_ERROR_REPORT_URL",
        receiver(),
        default=None,
        help="Where failures of the server itself are posted, without arguments; signed as webhooks are.",
        secret=True,
    )
    sentry: str | None = setting(
        "GATELODGE_SENTRY_DSN",
        fields.String(),
        default=None,
        help="Sentry project that such failures are sent to; needs gatelodge[sentry].",
        secret=True,
    )

    @property
    def on(self) -> bool:
        return bool(self.url or self.sentry)


class ErrorReportsPlugin:
    """Costs nothing where no place for reports is set."""

    def __init__(self) -> None:
        self._settings = ErrorReportSettings()
        self._secret: str | None = None
        self._sentry: Sentry | None = None
        self._sieve = Sieve()
        self._outbox = MemoryOutbox()
        self._counts: Counter[str] = Counter({"reported": 0, "left_out": 0})
        self._tries: Counter[str] = Counter({"delivered": 0, "failed": 0})
        self._sinks: list[Callable[[Report], None]] = []

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(ErrorReportSettings)
        self._secret = environment.read(WebhookSettings).secret
        if self._settings.sentry is not None:
            self._sentry = Sentry(self._settings.sentry, version=__version__, replica=replica())

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("error_reports", Phase.METRICS, self.handle),) if self._settings.on else ()

    @hookimpl
    def gatelodge_recorders(self) -> Sequence[Recorder]:
        return (self.record,) if self._settings.on else ()

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = "is GATELODGE_ERROR_REPORT_URL right, and can this machine reach it?"
        return (HealthCheck("error_reports", self.check, critical=False, advice=advice),) if self._settings.url else ()

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (
            Reading("gatelodge_error_reports_total", "Failures of the server.", lambda: self._counts, "event"),
            Reading("gatelodge_error_report_tries_total", "Reports posted.", lambda: self._tries, "outcome"),
        )

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self._settings.url is not None:
                session = await stack.enter_async_context(aiohttp.ClientSession())
                poster = Poster(session, self._settings.url, self._secret)
                await stack.enter_async_context(Courier(self._outbox, poster, self._tries).running())
                self._sinks.append(self._post)
            if self._sentry is not None:
                stack.push_async_callback(self._sentry.close)
                self._sinks.append(self._sentry.add)
            yield

    async def handle(self, call: Call, call_next: Next) -> Result:
        result = await answered(call_next, call)
        error = result.error
        if error is not None and error.code is ErrorCode.INTERNAL and not result.replayed:
            self._report(Subject.of_call(call), error.__cause__ or error)
        return result

    def record(self, event: Event) -> None:
        """What failed before it became a call."""
        if event.cause is not None:
            self._report(Subject.of_event(event), event.cause)

    async def check(self) -> str:
        backlog = await self._outbox.backlog()
        if backlog.error is not None:
            raise ToolError(ErrorCode.NETWORK_ERROR, f"{backlog.error}; {backlog.count} reports wait")
        return f"{backlog.count} reports wait"

    def _report(self, subject: Subject, error: BaseException) -> None:
        report = Report.of(subject, error)
        if not self._sieve.admits(report.place):
            self._counts["left_out"] += 1
            return
        self._counts["reported"] += 1
        for sink in self._sinks:
            sink(replace(report, left_out=self._sieve.left_out(report.place)))

    def _post(self, report: Report) -> None:
        self._outbox.add(report.message(version=__version__, replica=replica()))
