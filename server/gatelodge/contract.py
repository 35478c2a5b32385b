"""What passes between the core and a plugin: a closed set of frozen dataclasses.

A plugin registers `Tool`, `Resource`, `Prompt`, `Middleware`, `Authenticator`, `Route` and `HealthCheck` objects; it is
handed a `Call` and answers with a `Result`. It never gets a server object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar
from uuid import UUID

from marshmallow import Schema

from .content import Hints, Icon
from .errors import ToolError
from .identity.addresses import is_loopback
from .questions import TASKS, CannotAsk, Question

if TYPE_CHECKING:
    from aiohttp import TraceConfig

T = TypeVar("T")

JSON = Any
"""A JSON value: what `msgspec.json` encodes (so `datetime`, `Decimal` and `UUID` too)."""

Kind = Literal["tool", "resource", "prompt", "completion"]
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

LOCAL_TENANT = UUID(int=1)
"""The tenant of a caller without credentials on loopback, in embedded mode."""


FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
"""Headers that a proxy adds: with one of them the peer's address is not the client's."""


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

    @property
    def identity(self) -> tuple[str, str, str, str | None]:
        """What stays the same from message to message of one caller."""
        return str(self.tenant), self.user, self.method, self.key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a door shows an authenticator: lower-case header names, the peer's address and whether to believe its headers."""

    headers: Mapping[str, str]
    address: str | None
    trusted_peer: bool
    door: str

    @property
    def secret(self) -> str | None:
        """The token or key shown: the bearer of `Authorization`, or `X-API-Key` where that header is absent."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme:
            return token.strip() if scheme.lower() == "bearer" else None
        return self.headers.get("x-api-key")

    @property
    def from_this_machine(self) -> bool:
        """Whether the peer is a parent process on a pipe, or on loopback with no proxy speaking for somebody else."""
        return self.door == "stdio" or (FORWARDED.isdisjoint(self.headers) and is_loopback(self.address))


Authenticate = Callable[[Credentials], Awaitable[Principal | None]]


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Answers a `Principal`, `None` for "not my kind of credentials", or raises `ToolError("unauthorized", …)`.

    Authenticators are asked in `order`, lowest first; the first answer counts. `strong` says that it proves an identity,
    which a listener on a public address needs; a callable is asked once the lifespans are open. `ended(principal)` returns
    when what that principal proved does not hold any more, for streams that outlive the check. `authorization_servers`
    are the issuers whose tokens are taken, named to clients that have to sign in (RFC 9728).
    """

    name: str
    authenticate: Authenticate
    order: int = 100
    strong: bool | Callable[[], bool] = True
    ended: Callable[[Principal], Awaitable[None]] | None = None
    authorization_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something for the audit that is no call: a refusal at the door, a key made, a setting changed.

    `action` says what (`authentication`), `outcome` is `ok` or an error's code, `tenant` is None where nobody knows it.
    `cause` is what was raised where the server itself failed: for reports of errors, never written down.
    """

    action: str
    outcome: str
    request_id: str
    tenant: UUID | None = None
    user: str | None = None
    method: str | None = None
    key_id: str | None = None
    address: str | None = None
    door: str | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)
    cause: BaseException | None = field(default=None, repr=False)


Recorder = Callable[[Event], None]


# --- what passes through the fold ---------------------------------------------------------------------------------------


class Channel(Protocol):
    """The way back to the client while a call runs. `waits` says that `ask` may wait for a person to answer."""

    @property
    def waits(self) -> bool: ...

    async def progress(self, progress: float, total: float | None, message: str | None) -> None: ...

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None: ...

    def can_ask(self, kind: type[Question[Any]]) -> bool: ...

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]: ...

    async def hang_up(self, retry: float) -> None: ...

    async def become_task(self, ttl: float, required: bool) -> bool: ...


class SilentChannel:
    """A channel for a caller that hears only the result."""

    waits = False

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        return None

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None:
        return None

    def can_ask(self, kind: type[Question[Any]]) -> bool:
        return False

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        raise CannotAsk({"elicitation": {}})

    async def hang_up(self, retry: float) -> None:
        return None

    async def become_task(self, ttl: float, required: bool) -> bool:
        if required:
            raise CannotAsk(TASKS)
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on its way to a tool, resource, prompt or completion.

    `target` is what was registered under `name`; `arguments` are as sent until the validation middleware has passed them,
    and typed by the input schema from there on. `deadline` is in the event loop's time, seconds. `trace` and `tracestate`
    are the W3C trace context that the call belongs to (`traceparent` and `tracestate`).
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
    tracestate: str | None = None
    meta: Mapping[str, JSON] = field(default_factory=dict)
    channel: Channel = field(default_factory=SilentChannel)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the call is; nothing is sent to a client that did not ask."""
        await self.channel.progress(progress, total, message)

    async def log(self, level: LogLevel, data: JSON, logger: str | None = None) -> None:
        """Send a log line to the client, if it listens at this level. It is not the server's own log."""
        await self.channel.log(level, data, logger)

    def can_ask(self, kind: type[Question[Any]]) -> bool:
        """Whether the client can be asked a question of this class: `call.can_ask(Form)`."""
        return self.channel.can_ask(kind)

    async def ask(self, key: str, question: Question[T]) -> T:
        """Ask the client, under a key that is unique in this call; see `gatelodge.questions` for when the handler runs again.

        Raises `CannotAsk` for a client that cannot, and `ToolError` for one that fails, or does not answer in time.
        """
        answer: T = (await self.channel.ask({key: question}))[key]
        return answer

    async def ask_all(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        """Ask several questions at once; the answers come under the same keys."""
        return await self.channel.ask(questions)

    async def hang_up(self, retry: float = 1.0) -> None:
        """Let the client's connection go while the call runs on; it comes back for the result after `retry` seconds.

        Only clients of 2025-11-25 over Streamable HTTP can; for all others nothing happens. Source: MCP SEP-1699.
        """
        await self.channel.hang_up(retry)

    async def become_task(self, *, ttl: float = 3600.0, required: bool = False) -> bool:
        """Answer the client with a task to poll while the handler goes on, for `ttl` seconds at most.

        Answers False, and nothing changes, for a client that does not know tasks; if `required`, raises `CannotAsk` for it.
        What is asked before this ends the call and starts it anew; what is asked after waits in the task. A failure with
        the code `internal` fails the task. Source: MCP extension `io.modelcontextprotocol/tasks`.
        """
        return await self.channel.become_task(ttl, required)


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
    questions: Mapping[str, Question[Any]] = field(default_factory=dict)
    """Not an outcome yet: the client must answer these, and the call will come again from its start."""

    @property
    def outcome(self) -> str:
        """`ok`, `replayed`, `input_required`, or the error's code."""
        if self.questions:
            return "input_required"
        if self.error is not None:
            return self.error.code.value
        return "replayed" if self.replayed else "ok"

    @property
    def reply_headers(self) -> Mapping[str, str]:
        """The headers of an HTTP reply, those of the error among them."""
        return self.headers if self.error is None else {**self.headers, **self.error.reply_headers}


Handler = Callable[[Call], Awaitable[Result | Mapping[str, JSON]]]
Next = Callable[[Call], Awaitable[Result]]
Instances = Callable[[Call], Awaitable[Sequence[str]]]


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
    `<plugin>:write`, by the annotations. Without annotations a tool counts as a destructive write: what only reads says
    so, and its results may then be cached (`meta={"gatelodge/cache": False}` forbids it).

    `instances` names the upstreams a call may reach, for limits that count by instance: the one it says, or all it may mean.

    `reconcile` of a write looks for the effect of an earlier call with these arguments whose outcome nobody knows. It
    changes nothing, and answers that call's result, or None when it cannot tell.
    """

    name: str
    title: str
    description: str
    input: type[Schema] | Mapping[str, JSON]
    output: type[Schema] | Mapping[str, JSON] | None = None
    handler: Handler
    annotations: Annotations = Annotations()
    scopes: frozenset[str] | None = None
    icons: tuple[Icon, ...] = ()
    meta: Mapping[str, JSON] = field(default_factory=dict)
    instances: Instances | None = None
    reconcile: Callable[[Call], Awaitable[Result | None]] | None = None


Complete = Callable[[Call], Awaitable[Sequence[str]]]
"""Suggestions for an argument, best first: `call.name` says which, `call.arguments` holds what is typed so far of it, and the
arguments that are already known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something to read by URI. A `uri` with `{braces}` is an RFC 6570 level 1 template; its variables are the arguments.

    `complete` has, by variable, what suggests values for it; `size` is in bytes; `instances` are as of a `Tool`.
    """

    uri: str
    name: str
    title: str
    description: str
    handler: Handler
    mime_type: str = "text/plain"
    scopes: frozenset[str] | None = None
    complete: Mapping[str, Complete] = field(default_factory=dict)
    instances: Instances | None = None
    icons: tuple[Icon, ...] = ()
    hints: Hints | None = None
    size: int | None = None
    meta: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a prompt: always a string."""

    name: str
    description: str
    required: bool = False
    complete: Complete | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A message template a person picks; the handler's result holds `Message` objects."""

    name: str
    title: str
    description: str
    handler: Handler
    arguments: tuple[Argument, ...] = ()
    scopes: frozenset[str] | None = None
    icons: tuple[Icon, ...] = ()
    meta: Mapping[str, JSON] = field(default_factory=dict)


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
    """A plain HTTP request to a plugin's route, already authenticated.

    `invoke(tool, arguments)` goes through dispatch; `shows(tool)` says whether a list may show that tool to the caller.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: JSON
    principal: Principal
    invoke: Invoke
    shows: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """A plain HTTP route on every listener that serves the plugin. The handler answers a JSON value or a tool's `Result`."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Callable[[RouteRequest], Awaitable[JSON | Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What another server was asked, once it has answered: an SQL statement, or a Redis command.

    `text` is the statement with `$1` where values go, or the command's name; values are in neither. `place` is the
    database's name, and `address` the host and port, or the path of a socket, where known.
    """

    text: str
    seconds: float
    error: BaseException | None = None
    place: str | None = None
    address: tuple[str, int] | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Told of what the server asks other servers while it answers. Where there is none, nothing is timed.

    `statement` and `command` hear of each SQL statement and Redis command, in the context of the call that it was for;
    they must neither wait nor raise. `requests` goes into each HTTP session (`storage.trace_configs`); such a session may
    give a function as `trace_request_ctx`, which answers the URL's template.
    """

    statement: Callable[[Asked], None]
    command: Callable[[Asked], None]
    requests: TraceConfig


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`check()` returns a detail for the operator, or raises; only a `critical` one makes the server unready.

    `advice` is what to do when it fails, with the command to begin with: `gatelodge doctor` prints it.
    """

    name: str
    check: Callable[[], Awaitable[str]]
    critical: bool = True
    advice: str = ""
