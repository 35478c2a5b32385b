"""What all listeners share, and the aiohttp application of each, with every door on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from . import __version__
from .contract import HealthCheck
from .dispatch import CompiledTool, Dispatch
from .notices import Notices
from .plugins import Catalogue
from .processes.draining import Draining
from .protocol.methods import Protocol
from .replicas.exchange import Exchange
from .toolset import Toolset
from .transports.gate import GatePolicy, gate, set_up
from .transports.health import Health
from .transports.metrics import Families, Metrics
from .transports.rest import Rest
from .transports.sessions import SESSIONS, Sessions
from .transports.sse import LegacySSE
from .transports.streamable import StreamableHTTP
from .transports.streaming import STREAMS, end_streams

if TYPE_CHECKING:
    from .application import ServerSettings

INSTRUCTIONS = (
    "Gatelodge gives governed access to Jira and SQL. Read with jira.search, jira.get_issue and the sql.* templates. "
    "A write takes dry_run to show what it would send, and idempotency_key so that a retry cannot act twice. "
    "An error is JSON with a stable code; validation_error names the argument that is wrong."
)


@dataclass(frozen=True, slots=True)
class Listener:
    """One address to serve on, its application and the toolset behind it."""

    name: str
    port: int
    toolset: Toolset
    app: web.Application


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The parts, all of them open; `families` answers the metrics, `secret` signs what clients bring back, where one is set."""

    settings: ServerSettings
    secret: str | None
    catalogue: Catalogue
    compiled: Mapping[str, CompiledTool]
    policy: GatePolicy
    dispatch: Dispatch
    draining: Draining
    notices: Notices
    exchange: Exchange
    families: Families

    def listener(self, name: str, owners: Iterable[str], port: int) -> Listener:
        """The listener that serves these plugins."""
        toolset = Toolset(
            name, self.catalogue, owners, self.dispatch, timeout=self.settings.timeout, compiled=self.compiled
        )
        return Listener(name, port, toolset, self._application(self.protocol(toolset)))

    def protocol(self, toolset: Toolset) -> Protocol:
        return Protocol(
            toolset,
            version=__version__,
            notices=self.notices,
            exchange=self.exchange,
            secret=self.secret,
            instructions=INSTRUCTIONS,
            underscore_names=self.settings.tool_names == "underscore",
        )

    def _application(self, protocol: Protocol) -> web.Application:
        app = web.Application(middlewares=[gate(self.policy)], client_max_size=self.settings.max_body)
        app[STREAMS] = set()
        app.on_shutdown.append(end_streams)
        set_up(app, self.policy)
        app[SESSIONS] = Sessions(protocol, self.exchange)
        StreamableHTTP(protocol, app[SESSIONS]).add_to(app)
        streams = LegacySSE(protocol, self.exchange)
        streams.add_to(app)
        self.draining.leaving.append(streams.leave)
        Rest(protocol.toolset, protocol).add_to(app)
        Metrics(self.families, protocol.toolset, self.policy.switches).add_to(app)
        health = self._health(protocol.toolset.name)
        health.add_to(app)
        self.draining.readiness.append(health)
        app.on_response_prepare.append(self.draining.close_connection)
        return app

    def _health(self, listener: str) -> Health:
        replicas = HealthCheck("replicas", self.exchange.health, critical=False)
        checks = [*self.catalogue.health, ("gatelodge", replicas)]
        return Health(listener, __version__, checks, self.catalogue.broken, self.policy.switches)
