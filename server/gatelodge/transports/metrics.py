"""`/metrics` and `/api/v1/mcp/metrics`: Prometheus text, or JSON for who asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.registry import Collector

from ..errors import ErrorCode, ToolError
from ..metrics import Reading
from ..metrics.view import json_view
from ..middleware.access import missing_scopes
from ..middleware.metrics import ENABLED
from ..replicas.exchange import Exchange
from ..switches import Switches
from ..toolset import Toolset
from .gate import METRICS_PATHS, PRINCIPAL, json_response
from .sessions import SESSIONS
from .streaming import STREAMS

SCOPE = "metrics:read"


Families = Callable[[], Awaitable[Sequence[Metric]]]


class Metrics:
    """The same numbers on every listener, for they are the process's; the dotted names are those of its own plugins."""

    def __init__(self, families: Families, toolset: Toolset, switches: Switches) -> None:
        self._families = families
        self._plugins = sorted({tool.owner for tool in toolset.tools.values()})
        self._switches = switches

    def add_to(self, app: web.Application) -> None:
        for path in sorted(METRICS_PATHS):
            app.router.add_get(path, self.get)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Raises `forbidden` for a caller who signed in without the scope, and `disabled` where metrics are off."""
        if not self._switches.get(ENABLED):
            raise ToolError(ErrorCode.DISABLED, "Metrics are switched off.")
        principal = request.get(PRINCIPAL)
        if principal is not None and missing_scopes(principal, "resource", "metrics", frozenset({SCOPE})):
            raise ToolError(ErrorCode.FORBIDDEN, f"Metrics need {SCOPE}.", details={"missing_scopes": [SCOPE]})
        families = await self._families()
        if _wants_json(request):
            return json_response(json_view(families, self._plugins))
        return await _text(request, families)


def of_listeners(apps: Mapping[str, web.Application]) -> Sequence[Collector]:
    """What each listener has open."""
    return (
        Reading(
            "gatelodge_streams",
            "Event streams that are open.",
            lambda: {name: len(app[STREAMS]) for name, app in apps.items()},
            "listener",
        ),
        Reading(
            "gatelodge_sessions",
            "Sessions of the older protocol revisions that were used on this replica.",
            lambda: {name: len(app[SESSIONS]) for name, app in apps.items()},
            "listener",
        ),
    )


def of_replicas(exchange: Exchange) -> Sequence[Collector]:
    """What this replica and the others tell each other."""
    name = "gatelodge_replica"
    return (
        Reading(f"{name}_messages_total", "Messages between replicas.", lambda: dict(exchange.counts), "direction"),
        Reading(f"{name}_redis_outages_total", "Times Redis was lost.", lambda: exchange.outages),
    )


class _Collected(Collector):
    """What has been collected already, as something to collect."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _text(request: web.Request, families: Sequence[Metric]) -> web.StreamResponse:
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return await make_aiohttp_handler(registry, disable_compression=True)(
        request
    )  # replies are compressed in one place


def _wants_json(request: web.Request) -> bool:
    """Whether JSON is named, and named before any text."""
    accepted = [item.partition(";")[0].strip() for item in request.headers.get("Accept", "").split(",")]
    return next((item for item in accepted if item in ("application/json", "text/plain")), "") == "application/json"
