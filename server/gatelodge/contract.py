"""What passes between the core and a plugin: a closed set of frozen dataclasses.

A plugin registers `Tool`, `Resource`, `Prompt`, `Middleware`, `Authenticator`, `Route` and `HealthCheck` objects; it is
handed a `Call` and answers with a `Result`. It never gets a server object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, Protocol
from uuid import UUID

from marshmallow import Schema

from .errors import ToolError

JSON = Any
"""A JSON value: what `msgspec.json` encodes (so `datetime`, `Decimal` and `UUID` too)."""

Kind = Literal["tool", "resource", "prompt", "completion"]
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

LOCAL_TENANT = UUID(int=1)
"""The tenant of a caller without credentials on loopback, in embedded mode."""


# --- who calls ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a message comes from, as an authenticator answered it.

    `method` names that authenticator (`jwt`, `api_key`, `shared_key`, `identity_headers`, `local`). `tools`, `resources`
    and `prompts` are allow-lists of names or glob patterns; `None` allows all. `expires_at` is Unix time in seconds.
    """

    tenant: UUID
    user: str
    method: str
    scopes: frozenset[str] = frozenset()
    key_id: str | None = None
    address: str | None = None
    tools: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a door shows an authenticator: lower-case header names, the peer's address and whether to believe its headers."""

    headers: Mapping[str, str]
    address: str | None
    trusted_peer: bool
    door: str


Authenticate = Callable[[Credentials], Awaitable[Principal | None]]


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Answers a `Principal`, `None` for "not my kind of credentials", or raises `ToolError("unauthorized", …)`.

    Authenticators are asked in `order`, lowest first; the first answer counts. `strong` says that it proves an identity,
    which a listener on a public address needs.
    """

    name: str
    authenticate: Authenticate
    order: int = 100
    strong: bool = True


# --- what passes through the fold ---------------------------------------------------------------------------------------


class Channel(Protocol):
    """The way back to the client while a call runs."""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None: ...

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None: ...


class SilentChannel:
    """A channel for a caller that hears only the result."""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        return None

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on its way to a tool, resource, prompt or completion.

    `target` is what was registered under `name`; `arguments` are as sent until the validation middleware has passed them,
    and typed by the input schema from there on. `deadline` is in the event loop's time, seconds.
    """

    kind: Kind
    name: str
    target: Any
    owner: str
    arguments: Mapping[str, Any]
    principal: Principal
    request_id: str
    door: str
    deadline: float
    read_only: bool = True
    idempotency_key: str | None = None
    trace: str | None = None
    meta: Mapping[str, JSON] = field(default_factory=dict)
    channel: Channel = field(default_factory=SilentChannel)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the call is; nothing is sent to a client that did not ask."""
        await self.channel.progress(progress, total, message)

    async def log(self, level: LogLevel, data: JSON, logger: str | None = None) -> None:
        """Send a log line to the client, if it listens at this level. It is not the server's own log."""
        await self.channel.log(level, data, logger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a call comes back as.

    A tool gives `structured`, a JSON value that satisfies its output schema; the core writes the same as compact JSON
    text unless `content` holds blocks of its own. A resource gives `content` of `TextContents`/`BlobContents`, a prompt
    of `Message`, a completion `structured` of `{"values": [...]}`. `before` and `after` go to the audit, never to the client.
    """

    structured: JSON = None
    content: tuple[Any, ...] = ()
    error: ToolError | None = None
    replayed: bool = False
    before: JSON = None
    after: JSON = None
    meta: Mapping[str, JSON] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """`ok`, `replayed`, or the error's code."""
        if self.error is not None:
            return self.error.code.value
        return "replayed" if self.replayed else "ok"


Handler = Callable[[Call], Awaitable[Result | Mapping[str, JSON]]]
Next = Callable[[Call], Awaitable[Result]]


# --- what a result holds ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class TextContents:
    uri: str
    text: str
    mime_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class BlobContents:
    uri: str
    blob: bytes
    mime_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Embedded:
    resource: TextContents | BlobContents


@dataclass(frozen=True, slots=True)
class ResourceLink:
    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None


Content = Text | Image | Audio | Embedded | ResourceLink


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["user", "assistant"]
    content: Content


# --- what a plugin registers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """Hints for a client, and what the core's policy goes by. Source: MCP `ToolAnnotations`."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


READ = Annotations(read_only=True, destructive=False, idempotent=True)
WRITE = Annotations(destructive=False)
OVERWRITE = Annotations(destructive=True, idempotent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function a model may call.

    `name` is `<plugin>.<verb>`, of `[A-Za-z0-9_.-]{1,64}`. `input` and `output` are marshmallow schema classes, or JSON Schema
    2020-12 objects written elsewhere; both are compiled once at start-up. `scopes` default to `<plugin>:read` or
    `<plugin>:write`, by the annotations.
    """

    name: str
    title: str
    description: str
    input: type[Schema] | Mapping[str, JSON]
    output: type[Schema] | Mapping[str, JSON] | None = None
    handler: Handler
    annotations: Annotations = READ
    scopes: frozenset[str] | None = None
    meta: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something to read by URI. A `uri` with `{braces}` is an RFC 6570 level 1 template; its variables are the arguments."""

    uri: str
    name: str
    title: str
    description: str
    handler: Handler
    mime_type: str = "text/plain"
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    name: str
    description: str
    required: bool = False
    complete: Callable[[Call], Awaitable[Sequence[str]]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A message template a person picks; the handler's result holds `Message` objects."""

    name: str
    title: str
    description: str
    handler: Handler
    arguments: tuple[Argument, ...] = ()
    scopes: frozenset[str] | None = None


class Phase(IntEnum):
    """Where a middleware stands, outermost first. Inside one phase pluggy's order counts, `tryfirst` outermost."""

    TRACE = 100
    METRICS = 200
    AUDIT = 300
    ACCESS = 400
    VALIDATION = 500
    LIMITS = 600
    IDEMPOTENCY = 700
    INTENT = 800
    CACHE = 900
    DEADLINE = 1000


@dataclass(frozen=True, slots=True)
class Middleware:
    """`handle(call, call_next)` answers itself, or passes the call on and may change what comes back.

    `visible(principal, kind, name, scopes)` says whether a list may show what `handle` would refuse to that caller.
    """

    name: str
    phase: Phase
    handle: Callable[[Call, Next], Awaitable[Result]]
    visible: Callable[[Principal, Kind, str, frozenset[str]], bool] | None = None


Invoke = Callable[[str, Mapping[str, Any]], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """A plain HTTP request to a plugin's route, already authenticated. `invoke(tool, arguments)` goes through dispatch."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: JSON
    principal: Principal
    invoke: Invoke


@dataclass(frozen=True, slots=True)
class Route:
    """A plain HTTP route on every listener that serves the plugin. The handler answers a JSON value or a tool's `Result`."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Callable[[RouteRequest], Awaitable[JSON | Result]]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`check()` returns a detail for the operator, or raises; only a `critical` one makes the server unready."""

    name: str
    check: Callable[[], Awaitable[str]]
    critical: bool = True
