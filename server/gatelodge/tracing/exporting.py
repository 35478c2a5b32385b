"""Spans on their way to a collector: made, batched, sent by OTLP over HTTP from a thread, and counted.

No call ever waits for it. What a collector does not take in time is lost, and counted as such.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from threading import Thread
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from .. import __version__
from .settings import TracingSettings

GOODBYE = 5.0
"""Seconds that the last spans get at the end; a collector that is down must not hold up a stop."""


class Export:
    """The provider of one server. `counts` has spans by what became of them: `ended`, then `exported` or `failed`."""

    def __init__(self, settings: TracingSettings) -> None:
        self.counts: Counter[str] = Counter(ended=0, exported=0, failed=0)
        self._settings = settings
        self.provider = TracerProvider(sampler=_sampler(settings), resource=_resource(settings), shutdown_on_exit=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        settings = self._settings
        exporter = _Counting(OTLPSpanExporter(endpoint=settings.url, headers=_headers(settings)), self.counts)
        self.provider.add_span_processor(_Ended(self.counts))
        self.provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=settings.queue_size,
                schedule_delay_millis=settings.batch_delay,
                max_export_batch_size=settings.batch_size,
            )
        )
        try:
            yield
        finally:
            await self._shut_down(exporter)

    async def _shut_down(self, exporter: SpanExporter) -> None:
        """In a thread that nothing waits for: the SDK's own shutdown blocks for as long as a collector hangs."""
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def shut_down() -> None:
            self.provider.shutdown()
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(done.set)

        Thread(target=shut_down, daemon=True, name="last spans").start()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await done.wait()
                return
        exporter.shutdown()


class _Counting(SpanExporter):
    def __init__(self, exporter: SpanExporter, counts: Counter[str]) -> None:
        self._exporter = exporter
        self._counts = counts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        taken = False
        try:
            result = self._exporter.export(spans)
            taken = result is SpanExportResult.SUCCESS
        finally:
            self._counts["exported" if taken else "failed"] += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Ended(SpanProcessor):
    """Counts what is handed to the queue, which may drop it."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        return None

    def on_end(self, span: ReadableSpan) -> None:
        self._counts["ended"] += 1


def _sampler(settings: TracingSettings) -> Sampler:
    plain = settings.sampler.removeprefix("parentbased_")
    roots = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}
    root = roots.get(plain) or TraceIdRatioBased(settings.ratio)
    return root if plain == settings.sampler else ParentBased(root)


def _resource(settings: TracingSettings) -> Resource:
    """With what `OTEL_RESOURCE_ATTRIBUTES` adds, which the SDK reads."""
    own = {"service.name": settings.service, "service.version": __version__, "service.instance.id": uuid4().hex}
    return Resource.create(own)


def _headers(settings: TracingSettings) -> dict[str, str] | None:
    pairs = [part.partition("=") for part in (settings.traces_headers or settings.headers).split(",")]
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()} or None
