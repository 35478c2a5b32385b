"""The plugin of the extra `otel`. Off, it registers nothing, so a call passes nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from ..contract import Middleware, Observer, Phase
from ..errors import StartupError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..settings import Environment
from .settings import read_settings

if TYPE_CHECKING:
    from .exporting import Export
    from .spans import Spans


class TracingPlugin:
    """A span for each call, and below it one for each thing that was asked of Postgres, Redis and Jira."""

    def __init__(self) -> None:
        self._export: Export | None = None
        self._spans: Spans | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        settings = read_settings(environment)
        if not settings.on:
            return
        try:
            from .exporting import Export  # an import of half a second, and of what may not be installed
            from .spans import Spans
        except ImportError as error:
            raise StartupError(
                "tracing_missing", f"traces are configured, but not installed: pip install 'gatelodge[otel]' ({error})"
            ) from None
        self._export = Export(settings)
        self._spans = Spans(self._export.provider, outgoing=settings.outgoing)

    @hookimpl(tryfirst=True)
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        """Outside the log, whose lines then carry the trace's id."""
        return () if self._spans is None else (Middleware("otel", Phase.TRACE, self._spans.around),)

    @hookimpl
    def gatelodge_observers(self) -> Sequence[Observer]:
        return () if self._spans is None else (self._spans.observer(),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        if self._export is None:
            return ()
        counts = self._export.counts
        return (Reading("gatelodge_trace_spans_total", "What became of spans.", lambda: dict(counts), "event"),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self) -> AsyncIterator[None]:
        if self._export is None:
            yield
            return
        async with self._export.running():
            yield
