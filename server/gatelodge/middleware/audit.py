"""Every call is written down: what it was, who made it, and how it ended, denials and replays included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client.registry import Collector

from ..audit.journal import Entry, Journal, current, error_detail
from ..audit.outage import Outage
from ..audit.settings import AuditSettings
from ..audit.writer import Writer
from ..contract import Call, Event, HealthCheck, Middleware, Next, Phase, Recorder, Result
from ..dispatch import answered
from ..errors import StartupError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..settings import Environment
from ..storage import Storage


class AuditPlugin:
    """One row for each call that changes nothing. A write's own rows are the intent middleware's, inside."""

    def __init__(self) -> None:
        self._settings = AuditSettings()
        self._journal: Journal | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(AuditSettings)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("audit", Phase.AUDIT, self._record),)

    @hookimpl
    def gatelodge_recorders(self) -> Sequence[Recorder]:
        return (self._note_event,)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        settings = self._settings
        with Outage(storage.outbox) as outage:
            writer = Writer(storage.postgres, capacity=settings.queue, patience=settings.patience, follow=outage.follow)
            async with writer.running():
                self._journal = Journal(writer, reads_required=settings.reads == "require")
                yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = (
            "Postgres must take writes: its log, its disk and its locks say why not; nothing that was answered is lost"
        )
        return (HealthCheck("audit", self._check, advice=advice),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (
            Reading("gatelodge_audit_queue_rows", "Rows that are not written yet.", self.queued),
            Reading("gatelodge_audit_failing", "1 while Postgres does not take rows.", self._failing),
            Reading("gatelodge_audit_rows_total", "What became of rows.", self._counts, "event"),
        )

    async def _record(self, call: Call, call_next: Next) -> Result:
        journal = self._open
        entry = Entry(journal)
        token = current.set(entry)
        try:
            if call.read_only:
                journal.admit_read()
            result = await answered(call_next, call)
        except asyncio.CancelledError:
            if not entry.written:
                journal.note(call, entry, "cancelled")
            raise
        finally:
            current.reset(token)
        if not entry.written:
            journal.note(call, entry, result.outcome, error_detail(result))
        return result

    def _note_event(self, event: Event) -> None:
        self._open.note_event(event)

    async def _check(self) -> str:
        """What health shows: how many rows wait, and how many were lost or refused."""
        writer = self._open.writer
        if writer.failing or writer.full:
            raise ConnectionError(writer.failing or "the queue is full")
        counts = writer.counts
        return f"{writer.depth} queued, {counts.written} written, {counts.dropped} dropped, {counts.refused} refused"

    def queued(self) -> float:
        """Rows that are not written yet."""
        return self._open.writer.depth

    def _failing(self) -> float:
        return bool(self._open.writer.failing)

    def _counts(self) -> dict[str, float]:
        """See `Counts`; a failure is a batch that is tried again."""
        counts = self._open.writer.counts
        return {name: getattr(counts, name) for name in ("written", "dropped", "refused")}

    @property
    def _open(self) -> Journal:
        if self._journal is None:
            raise StartupError("plugin_broken", "the audit is not open")
        return self._journal
