"""What every HTTP request meets before its door: a request id, the Host and Origin check, and authentication.

Source: MCP "Security & Endpoint" (Origin validation against DNS rebinding), RFC 6750 (challenges).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from aiohttp import web

from ..contract import Authenticator, Credentials, Event, Principal, Recorder
from ..errors import ErrorCode, StartupError, ToolError, describe
from ..identity.metadata import WELL_KNOWN, ProtectedResource, challenge
from ..identity.revocations import Revocations
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError, error_response
from ..protocol.peer import CallHeaders
from ..switches import Switches
from ..switches.core import ORIGINS, refuse_when_disabled
from .discretion import be_discreet
from .headers import REQUEST_ID, HeaderSettings, add_headers, compress, preflight, require_tls
from .peers import Network, client_address, host_name, within

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PRINCIPAL = web.RequestKey("principal", Principal)
HANDLING: web.RequestKey[asyncio.Task[Any] | None] = web.RequestKey("handling", asyncio.Task)
NEARBY = web.RequestKey("nearby", bool)
"""Whether who asks for health is on this machine, and no proxy asks for somebody else."""
REVOCATIONS = web.AppKey("revocations", Revocations)

HEALTH_PATHS = frozenset({"/", "/health", "/health/ready", "/health/mcp"})
"""Paths that answer without authentication, and say nothing that needs it."""
METRICS_PATHS = frozenset({"/metrics", "/api/v1/mcp/metrics"})
"""Paths that answer also while everything is switched off."""
MCP_PATHS = frozenset({"/mcp", "/messages", "/sse"})
RESOURCES = ("", "/mcp", "/sse")
"""What a client may take for the protected resource: the listener, or one of its endpoints."""
SINGLE = (
    "Host",
    "Origin",
    "Authorization",
    "X-API-Key",
    "X-Tenant-ID",
    "X-User-ID",
    "Idempotency-Key",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
)
"""Headers that decide something: of two, a proxy may have checked the one while we would go by the other."""
PUBLIC = frozenset({WELL_KNOWN + path for path in RESOURCES})
"""Documents that tell who has no credentials yet where to get some."""
LONGEST_PATH = 200
"""Characters of a path that a log line quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """`hosts` of None accepts any Host header; `resource` is for clients that have to sign in with an issuer first.

    `pipe` is what the caller on a pipe shows, who has no headers; `revocations` tells a stream when to end.
    """

    authenticators: Sequence[Authenticator]
    revocations: Revocations
    hosts: frozenset[str] | None
    switches: Switches
    trusted_proxies: tuple[Network, ...] = ()
    resource: ProtectedResource | None = None
    pipe: Credentials
    recorders: Sequence[Recorder] = ()
    replies: HeaderSettings = field(default_factory=HeaderSettings)
    public_metrics: bool = False

    def record_refusal(
        self, error: ToolError, request_id: str, *, door: str, address: str | None = None, **detail: str
    ) -> None:
        """Tell the audit, and who else listens, of somebody who was not let in."""
        event = Event(
            action="authentication",
            outcome=error.code.value,
            request_id=request_id,
            address=address,
            door=door,
            detail={"message": error.message, **detail},
        )
        self._record(event)

    def record_failure(self, cause: Exception, request_id: str, *, address: str | None, route: str) -> None:
        """Tell them of a request that ended in what nobody foresaw; `route` is as it was registered."""
        event = Event(
            action="request",
            outcome=ErrorCode.INTERNAL.value,
            request_id=request_id,
            address=address,
            door="http",
            detail={"route": route},
            cause=cause,
        )
        self._record(event)

    def _record(self, event: Event) -> None:
        for record in self.recorders:
            record(event)


def gate(policy: GatePolicy) -> Any:
    """The aiohttp middleware. A refusal never reaches a door, and takes the form that the door's clients read."""

    @web.middleware
    async def pass_gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = uuid4().hex
        response = preflight(request, policy.switches) or await answer(request, handler)
        if response.status >= 400:
            _log_refusal(request, policy, response.status)
        compress(request, response, policy.replies.compress_from)
        if "WWW-Authenticate" in response.headers and policy.resource is not None:
            _point(request, response, policy.resource, policy)
        return response

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[HANDLING] = asyncio.current_task()
        try:
            _refuse_doubled(request)
            _check_host(request, policy)
            _check_origin(request, policy)
            await _let_in(request, policy)
            return await handler(request)
        except ToolError as error:
            if PRINCIPAL not in request:
                address = client_address(request, policy.trusted_proxies)[0]
                policy.record_refusal(error, request[REQUEST_ID], door="http", address=address, path=request.path)
            return error_reply(request, error)
        except ProtocolError as error:
            return json_response(error_response(error, null_id=True), status=error.status)
        except web.HTTPException as error:
            return error_reply(request, _from_http(error))
        except Exception as cause:  # nothing may leave without a code and an id; the log has the cause
            logger.exception("request failed", extra={"request_id": request[REQUEST_ID], "path": request.path})
            address = client_address(request, policy.trusted_proxies)[0]
            policy.record_failure(cause, request[REQUEST_ID], address=address, route=_route(request))
            return error_reply(request, ToolError(ErrorCode.INTERNAL, "The server failed; its log has the cause."))

    return pass_gate


async def identify(authenticators: Sequence[Authenticator], credentials: Credentials) -> Principal:
    """The first authenticator's answer. Raises `unauthorized` when none knows these credentials."""
    for authenticator in authenticators:
        principal = await authenticator.authenticate(credentials)
        if principal is not None:
            return principal
    message = "These credentials are not accepted." if _shows(credentials.headers) else "Credentials are required."
    raise ToolError(ErrorCode.UNAUTHORIZED, message)


async def identify_pipe(policy: GatePolicy, request_id: str) -> Principal:
    """Who is on the other end of a pipe, now. A refusal is recorded, as at any door."""
    try:
        return await identify(policy.authenticators, policy.pipe)
    except ToolError as error:
        policy.record_refusal(error, request_id, door=policy.pipe.door)
        raise


async def open_pipe(policy: GatePolicy) -> Principal:
    """The same before the first message. Raises `StartupError` that says how to show a key."""
    try:
        return await identify_pipe(policy, uuid4().hex)
    except ToolError as error:
        hint = "set GATELODGE_STDIO_TOKEN to a key or token (gatelodge keys create makes one)"
        raise StartupError("unauthorized", f"{error.message} Please {hint}.") from None


def end_when_revoked(request: web.Request) -> None:
    """End the request as if its client had left, once its caller's key or token is not good any more."""
    handling = request[HANDLING]  # request.task would be the connection's, which outlives the request
    assert handling is not None
    watching = asyncio.create_task(request.app[REVOCATIONS].wait(request[PRINCIPAL]))
    watching.add_done_callback(lambda done: None if done.cancelled() else handling.cancel())
    handling.add_done_callback(lambda _: watching.cancel())


def set_up(app: web.Application, policy: GatePolicy) -> None:
    """What streams need of the policy, and the public documents of RFC 9728: one for each path of the resource."""
    be_discreet()
    app[REVOCATIONS] = policy.revocations
    add_headers(app, policy.replies, policy.switches, lambda request: _is_secure(request, policy))
    if policy.resource is not None:
        for path in RESOURCES:
            app.router.add_get(WELL_KNOWN + path, _metadata(policy.resource, path, policy))


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The one place where a body becomes bytes."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers=headers, content_type="application/json"
    )


def error_reply(request: web.Request, error: ToolError, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as the door's clients read it: JSON-RPC on the MCP paths, the plain shape elsewhere.

    `headers` stand in for the error's own.
    """
    headers = error.reply_headers if headers is None else headers
    body = describe(error, request.get(REQUEST_ID, ""))
    if request.path in MCP_PATHS:
        fault = ProtocolError(INVALID_REQUEST, error.message, data=body)
        return json_response(error_response(fault, null_id=True), status=error.status, headers=headers)
    return json_response({"error": body}, status=error.status, headers=headers)


def call_headers(request: web.Request) -> CallHeaders:
    headers = request.headers
    return CallHeaders(headers.get("Idempotency-Key"), headers.get("traceparent"), headers.get("tracestate"))


def _log_refusal(request: web.Request, policy: GatePolicy, status: int) -> None:
    """What never became a call has a line too; why it was refused is in the reply, under the same id."""
    if not logger.isEnabledFor(logging.INFO):
        return
    extra: dict[str, Any] = {"request_id": request[REQUEST_ID], "status": status, "method": request.method}
    extra |= {"path": request.path[:LONGEST_PATH], "address": client_address(request, policy.trusted_proxies)[0]}
    principal = request.get(PRINCIPAL)
    if principal is not None:
        extra |= {"tenant": str(principal.tenant), "user": principal.user}
    logger.info("refused", extra=extra)


def _route(request: web.Request) -> str:
    """Method and path as registered, `{names}` and all: what callers put in their place is theirs."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else 'nowhere'}"


def _credentials(request: web.Request, policy: GatePolicy) -> Credentials:
    address, trusted = client_address(request, policy.trusted_proxies)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Credentials(headers=headers, address=address, trusted_peer=trusted, door="http")


def _refuse_doubled(request: web.Request) -> None:
    headers = request.headers
    if len({name.lower() for name in headers}) == len(headers):
        return
    for name in SINGLE:
        if len(headers.getall(name, ())) > 1:
            raise ToolError(ErrorCode.VALIDATION_ERROR, f"{name}: sent more than once")


async def _let_in(request: web.Request, policy: GatePolicy) -> None:
    """Health is open to all, metrics to this machine, everything else to who signs in."""
    if request.path in HEALTH_PATHS:
        request[NEARBY] = _credentials(request, policy).from_this_machine
        return
    if request.path in METRICS_PATHS:
        if policy.public_metrics or _credentials(request, policy).from_this_machine:
            return
    else:
        refuse_when_disabled(policy.switches)
    if policy.replies.tls_required and not _is_secure(request, policy):
        require_tls(request)
    await _sign_in(request, policy)


async def _sign_in(request: web.Request, policy: GatePolicy) -> None:
    """Put the principal into the request. The challenge of a refusal says what a first token should be good for."""
    if request.path in PUBLIC:
        return
    try:
        request[PRINCIPAL] = await identify(policy.authenticators, _credentials(request, policy))
    except ToolError as error:
        if error.code is ErrorCode.UNAUTHORIZED:
            fault: Literal["invalid_token"] | None = "invalid_token" if _shows(request.headers) else None
            scopes = policy.resource.first_scopes if policy.resource else ()
            error.headers["WWW-Authenticate"] = challenge(fault, error.message, scopes)
        raise


def _metadata(resource: ProtectedResource, path: str, policy: GatePolicy) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        document = resource.document(_origin(request, policy), path)
        return json_response(document, headers={"Cache-Control": "public, max-age=3600"})

    return handle


def _point(request: web.Request, response: web.StreamResponse, resource: ProtectedResource, policy: GatePolicy) -> None:
    """Add to a challenge where the metadata is; the resource is the endpoint asked, or else the whole listener."""
    path = request.path if request.path in RESOURCES else ""
    location = resource.location(_origin(request, policy), path)
    response.headers["WWW-Authenticate"] += f', resource_metadata="{location}"'


def _shows(headers: Mapping[str, str]) -> bool:
    """Whether there are credentials; names are lower-case, or looked up in any case."""
    return "authorization" in headers or "x-api-key" in headers


def _origin(request: web.Request, policy: GatePolicy) -> str:
    """Scheme and host as the client knows them, as far as a trusted proxy says so."""
    return f"{_scheme(request, policy)}://{request.host}"


def _scheme(request: web.Request, policy: GatePolicy) -> str:
    """As the last proxy says, where it is one of ours; what stands before its word is what others claim."""
    claimed = request.headers.getall("X-Forwarded-Proto", ())
    if claimed and request.remote is not None and within(request.remote, policy.trusted_proxies):
        last = claimed[-1].rpartition(",")[2].strip().lower()
        return last if last in ("http", "https") else "http"
    return request.scheme


def _is_secure(request: web.Request, policy: GatePolicy) -> bool:
    return _scheme(request, policy) == "https"


def _check_host(request: web.Request, policy: GatePolicy) -> None:
    if policy.hosts is not None and host_name(request.headers.get("Host", "")) not in policy.hosts:
        raise ToolError(
            ErrorCode.FORBIDDEN,
            "The Host header names a host this listener does not serve; GATELODGE_ALLOWED_HOSTS says which.",
        )


def _check_origin(request: web.Request, policy: GatePolicy) -> None:
    origin = request.headers.get("Origin")
    if origin is None or origin in policy.switches.get(ORIGINS):
        return
    if policy.hosts is None or host_name(urlsplit(origin).netloc) not in policy.hosts:
        raise ToolError(ErrorCode.FORBIDDEN, "This Origin is not allowed; the setting allowed_origins says which are.")


def _from_http(error: web.HTTPException) -> ToolError:
    if error.status == 413:
        return ToolError(ErrorCode.VALIDATION_ERROR, "The body is larger than the limit.", status=413)
    if error.status == 405:
        return ToolError(
            ErrorCode.NOT_FOUND,
            "This method is not allowed here.",
            status=405,
            headers={"Allow": error.headers.get("Allow", "")},
        )
    if error.status == 404:
        return ToolError(ErrorCode.NOT_FOUND, "There is nothing at this path.")
    return ToolError(ErrorCode.VALIDATION_ERROR, error.reason, status=error.status)
