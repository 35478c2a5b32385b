"""Messages to operators as a plugin: delivered by whichever server comes first; a dead receiver is seen, and stops nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from prometheus_client.registry import Collector

from ..contract import HealthCheck
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..settings import Environment
from ..storage import Storage
from .courier import Courier
from .outbox import CHANNEL, MemoryOutbox, Outbox, TableOutbox
from .poster import Poster
from .settings import WebhookSettings


class WebhooksPlugin:
    """Does nothing where no receiver is set; what others tell of is then forgotten after a while."""

    def __init__(self) -> None:
        self._settings = WebhookSettings()
        self._outboxes: Sequence[Outbox] = ()
        self._memory = MemoryOutbox()
        self._counts: Counter[str] = Counter({"delivered": 0, "failed": 0})

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(WebhookSettings)

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = "try the receiver: gatelodge webhooks test; what waits for it: gatelodge webhooks list"
        return (HealthCheck("webhooks", self.check, critical=False, advice=advice),) if self._settings.url else ()

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (
            Reading(
                "gatelodge_webhook_tries_total", "Messages posted to the operator.", lambda: self._counts, "outcome"
            ),
            Reading("gatelodge_webhook_dropped_total", "Messages for which there was no room.", self._dropped),
        )

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        if self._settings.url is None:
            yield
            return
        self._memory = storage.outbox
        table = TableOutbox(storage.postgres)
        self._outboxes = (table, self._memory)

        async def look(ids: frozenset[str] | None) -> None:
            table.news.set()

        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            poster = Poster(session, self._settings.url, self._settings.secret)
            for outbox in self._outboxes:
                await stack.enter_async_context(Courier(outbox, poster, self._counts).running())
            await stack.enter_async_context(storage.changes.watching(CHANNEL, look))
            yield

    async def check(self) -> str:
        """Raises for a receiver that did not take the oldest message at its last try."""
        backlogs = [await outbox.backlog() for outbox in self._outboxes]
        waiting = sum(backlog.count for backlog in backlogs)
        for backlog in backlogs:
            if backlog.error is not None:
                raise ToolError(ErrorCode.NETWORK_ERROR, f"{backlog.error}; {waiting} messages wait")
        return f"{waiting} messages wait"

    def _dropped(self) -> float:
        return self._memory.dropped
