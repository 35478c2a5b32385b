"""A server opened: its settings read, plugins configured, storage and lifespans open, listeners put together."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

from marshmallow import fields, validate
from prometheus_client import CollectorRegistry, Metric

from . import __version__
from .assembly import Assembly, Listener
from .contract import Authenticator, Credentials, Middleware, Phase
from .dispatch import CompiledTool, Dispatch, compile_tool
from .errors import StartupError
from .identity.addresses import is_loopback
from .identity.metadata import ProtectedResource
from .identity.revocations import Revocations
from .logs import LogSettings
from .metrics.registry import registry_of
from .metrics.siblings import Siblings
from .notices import Notices
from .plugins import Catalogue, Plugins
from .processes.certificates import Certificates, certificates
from .processes.draining import Draining
from .processes.settings import ProcessSettings
from .protocol.methods import Protocol
from .replicas.exchange import NOTICE, Exchange
from .settings import CommaSeparated, Environment, setting
from .signing import SecretSettings
from .storage import Storage
from .storage.opening import StorageSettings, open_storage
from .switches import Switches
from .switches.core import core_switches, follow_log_level
from .switches.store import live_switches
from .toolset import Toolset
from .transports.gate import GatePolicy
from .transports.headers import HeaderSettings
from .transports.metrics import Families, of_listeners, of_replicas
from .transports.peers import Network

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
PORT = validate.Range(min=0, max=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the core itself reads from the environment."""

    host: str = setting("GATELODGE_HOST", fields.String(), default="127.0.0.1", help="Address to listen on.")
    port: int = setting("MCP_PORT", fields.Integer(validate=PORT), default=8054, help="Port of the hub; 0 picks one.")
    timeout: float = setting(
        "GATELODGE_TIMEOUT",
        fields.Float(validate=validate.Range(min=0.1, max=3600)),
        default=30.0,
        help="Seconds a call may take.",
    )
    max_body: int = setting(
        "GATELODGE_MAX_BODY", fields.Integer(validate=validate.Range(min=1024)), default=2**20, help="Bytes of a body."
    )
    hosts: tuple[str, ...] = setting(
        "GATELODGE_ALLOWED_HOSTS", CommaSeparated(), default=(), help="Host headers served, besides those of loopback."
    )
    proxies: tuple[str, ...] = setting(
        "GATELODGE_TRUSTED_PROXIES", CommaSeparated(), default=(), help="Networks whose X-Forwarded-For is believed."
    )
    public_url: str | None = setting(
        "GATELODGE_PUBLIC_URL",
        fields.Url(require_tld=False, schemes={"http", "https"}),
        default=None,
        help="Base address clients use, where a proxy hides it.",
    )
    stdio_token: str | None = setting(
        "GATELODGE_STDIO_TOKEN",
        fields.String(),
        default=None,
        help="Key or token that the caller of gatelodge stdio and gatelodge tools shows.",
        secret=True,
    )
    public_metrics: bool = setting(
        "GATELODGE_METRICS_PUBLIC",
        fields.Boolean(),
        default=False,
        help="Whether /metrics answers anyone; else it asks who is not on this machine for the scope metrics:read.",
    )
    tool_names: str = setting(
        "GATELODGE_TOOL_NAMES",
        fields.String(validate=validate.OneOf(["dotted", "underscore"])),
        default="dotted",
        help="Whether lists say jira.search or jira_search; calls may use either.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An open server, ready to be bound to its listeners."""

    settings: ServerSettings
    plugins: Plugins
    catalogue: Catalogue
    policy: GatePolicy
    hub: Toolset
    listeners: tuple[Listener, ...]
    protocol: Callable[[Toolset], Protocol]
    processes: ProcessSettings
    draining: Draining
    certificates: Certificates | None


@asynccontextmanager
async def open_server(
    variables: Mapping[str, str],
    *,
    extra_plugins: Iterable[tuple[str, Any]] = (),
    join: bool = False,
    siblings: Path | None = None,
    hosted: bool = False,
) -> AsyncIterator[Server]:
    """Everything but the sockets: plugins configured, storage and plugin lifespans open, applications built.

    `variables` is the environment; `extra_plugins` are pairs of name and plugin, besides those of the entry points.
    `join` uses the embedded Postgres of a server that runs already, as a command beside it does. `siblings` is the folder
    in which the processes meet that serve on the same ports; `hosted` says that another program accepts the connections, and
    speaks TLS if anyone does. Raises `StartupError` with one line that says what to change.
    """
    environment = Environment(variables)
    settings = environment.read(ServerSettings)
    processes = environment.read(ProcessSettings)
    environment.read(LogSettings)  # whoever owns the process set its log up by then; the name must be known
    replies = environment.read(HeaderSettings)
    replies.refuse_unreachable(certificate=hosted or processes.certificate is not None, proxies=bool(settings.proxies))
    storage_settings = environment.read(StorageSettings)
    secrets = environment.read(SecretSettings)
    core = core_switches(environment)
    plugins = Plugins()
    plugins.load(extra_plugins)
    ports = plugin_ports(plugins, environment)
    catalogue = plugins.configure(environment)
    compiled = _compile(plugins)
    plugins.tell_compiled(compiled)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            open_storage(storage_settings, plugins.migrations(), join=join, observers=catalogue.observers)
        )
        storage = await stack.enter_async_context(live_switches(storage, [*core, *catalogue.switches]))
        follow_log_level(storage.switches)
        exchange = Exchange(storage.redis, secrets.keys)
        notices = Notices(exchange)
        await stack.enter_async_context(exchange.lifespan())
        await stack.enter_async_context(exchange.following(NOTICE, notices.hear))
        await _enter_lifespans(stack, plugins, storage, notices)
        compiled = {name: tool for name, tool in compiled.items() if name in catalogue.tools}
        policy = _gate_policy(settings, catalogue, compiled, storage.switches, replies)
        _refuse_unsafe_bind(settings, catalogue)
        registry = registry_of(catalogue.metrics, version=__version__)
        draining = Draining()
        assembly = Assembly(
            settings=settings,
            secret=secrets.current,
            catalogue=catalogue,
            compiled=compiled,
            policy=policy,
            dispatch=Dispatch([Middleware("draining", Phase.TRACE, draining.count), *catalogue.middleware]),
            draining=draining,
            notices=notices,
            exchange=exchange,
            families=await stack.enter_async_context(_families(registry, siblings)),
        )
        hub = assembly.listener("hub", catalogue.plugins, settings.port)
        alone = [(name, port) for name, port in ports.items() if name in catalogue.plugins]
        listeners = (hub, *(assembly.listener(name, [name], port) for name, port in alone))
        apps = {listener.name: listener.app for listener in listeners}
        for reading in (*of_listeners(apps), *of_replicas(exchange)):
            registry.register(reading)
        yield Server(
            settings=settings,
            plugins=plugins,
            catalogue=catalogue,
            policy=policy,
            hub=hub.toolset,
            listeners=listeners,
            protocol=assembly.protocol,
            processes=processes,
            draining=draining,
            certificates=certificates(processes),
        )


def plugin_ports(plugins: Plugins, environment: Environment) -> dict[str, int]:
    """The port of each plugin that has a listener of its own. One that serves nothing has no setting for it either."""
    serving = [name for name, plugin in plugins.catalogue.plugins.items() if plugin.serves]
    found = {name: environment.read(_port_settings(name, plugins.port(name))) for name in serving}
    return {name: settings.port for name, settings in found.items() if settings.port is not None}


@asynccontextmanager
async def _families(registry: CollectorRegistry, siblings: Path | None) -> AsyncIterator[Families]:
    """The metrics of this process, or of all that meet in that folder."""

    async def own() -> list[Metric]:
        return list(registry.collect())

    if siblings is None:
        yield own
        return
    everyone = Siblings(siblings, registry)
    async with everyone.joined():
        yield everyone.families


def _port_settings(plugin: str, default: int | None) -> type[Any]:
    """`MCP_<PLUGIN>_PORT`: the one setting whose name is not known before the plugins are."""
    name = f"MCP_{plugin.upper().replace('-', '_')}_PORT"
    port = setting(name, fields.Integer(validate=PORT), default=default, help=f"Port of a listener for {plugin} alone.")
    return make_dataclass("PortSettings", [("port", int | None, port)], frozen=True)


def _compile(plugins: Plugins) -> dict[str, CompiledTool]:
    """Compile every tool; one with a bad schema takes its plugin out, and only that."""
    compiled: dict[str, CompiledTool] = {}
    for name, (owner, tool) in list(plugins.catalogue.tools.items()):
        try:
            compiled[name] = compile_tool(owner, tool)
        except Exception as error:  # a schema is a plugin's code; whatever it raises is that plugin's failure
            plugins.leave_out(plugins.catalogue.plugins[owner], error)
    return compiled


async def _enter_lifespans(stack: AsyncExitStack, plugins: Plugins, storage: Storage, notices: Notices) -> None:
    for plugin, lifespan in plugins.lifespans(storage, notices):
        try:
            await stack.enter_async_context(lifespan)
        except Exception as error:  # a plugin that cannot open its resources is left out, unless it is policy
            plugins.leave_out(plugin, error)


def _gate_policy(
    settings: ServerSettings,
    catalogue: Catalogue,
    compiled: Mapping[str, CompiledTool],
    switches: Switches,
    replies: HeaderSettings,
) -> GatePolicy:
    local = is_loopback(settings.host)
    authenticators = tuple(catalogue.authenticators)
    return GatePolicy(
        authenticators=authenticators,
        revocations=Revocations(authenticators),
        hosts=LOOPBACK_HOSTS | set(settings.hosts) if local or settings.hosts else None,
        switches=switches,
        resource=_protected_resource(settings, authenticators, compiled),
        pipe=Credentials(headers=_bearer(settings.stdio_token), address=None, trusted_peer=False, door="stdio"),
        trusted_proxies=tuple(_network(text) for text in settings.proxies),
        recorders=tuple(catalogue.recorders),
        replies=replies,
        public_metrics=settings.public_metrics,
    )


def _refuse_unsafe_bind(settings: ServerSettings, catalogue: Catalogue) -> None:
    strong = (item.strong() if callable(item.strong) else item.strong for item in catalogue.authenticators)
    if not is_loopback(settings.host) and not any(strong):
        raise StartupError(
            "unsafe_bind",
            f"{settings.host} is a public address to listen on, but no real authentication is set up: set"
            " GATELODGE_JWT_ISSUER or MCP_API_KEY, or create a key with: gatelodge keys create",
        )


def _protected_resource(
    settings: ServerSettings, authenticators: Iterable[Authenticator], compiled: Mapping[str, CompiledTool]
) -> ProtectedResource | None:
    """What clients are told of the issuers, where there are any."""
    servers = [server for item in authenticators for server in item.authorization_servers]
    scopes = {scope for tool in compiled.values() for scope in tool.scopes}
    if not servers:
        return None
    return ProtectedResource(authorization_servers=servers, scopes=sorted(scopes), url=settings.public_url)


def _bearer(token: str | None) -> Mapping[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise StartupError("setting_invalid", f"GATELODGE_TRUSTED_PROXIES: {text!r} is no network") from None
