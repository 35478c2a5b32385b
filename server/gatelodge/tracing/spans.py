"""The spans of a call, after OpenTelemetry's conventions for MCP, databases and HTTP clients.

A span says what was called and how it went, never what with: no argument, no value of a statement, no key, no address of
an issue, and of an error only its kind, because messages quote. The request id leads to the audit, which has the rest.

Source: OpenTelemetry semantic conventions "MCP", "Database client spans" and "HTTP spans"; W3C Trace Context.
"""

from __future__ import annotations

from dataclasses import replace
from time import time_ns
from types import SimpleNamespace
from typing import Any

import aiohttp
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .. import __version__
from ..contract import Asked, Call, Next, Observer, Result
from ..dispatch import answered
from ..metrics.calls import FINE, target_of

METHODS = {
    "tool": "tools/call",
    "resource": "resources/read",
    "prompt": "prompts/get",
    "completion": "completion/complete",
}
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
LONGEST_STATE = 512
"""Characters of a `tracestate` that have to be passed on; a longer one is not."""
LONGEST_TEXT = 2000
"""Characters of a statement that are kept."""

context_of = TraceContextTextMapPropagator()


class Spans:
    """Makes them. `outgoing` says whether HTTP requests carry the context of their span."""

    def __init__(self, provider: trace.TracerProvider, *, outgoing: bool = False) -> None:
        self._tracer = provider.get_tracer("gatelodge", __version__)
        self._outgoing = outgoing

    def observer(self) -> Observer:
        return Observer(
            statement=self._statement,
            command=self._command,
            requests=_trace_config(self._begin_request, self._end_request, self._fail_request),
        )

    async def around(self, call: Call, call_next: Next) -> Result:
        """Middleware: the call is the span's from here on, so its log lines and audit rows carry the same trace."""
        kind, plugin, name = target_of(call)
        method = METHODS[kind]
        span = self._tracer.start_span(
            f"{method} {name}" if kind in ("tool", "prompt") else method,
            context=_parent(call),
            kind=SpanKind.SERVER,
            attributes=_attributes(call, method, plugin, name),
        )
        outcome = "cancelled"
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                result = await answered(call_next, _continued(call, span))
                outcome = result.outcome
                return result
            finally:
                _conclude(span, kind, outcome)

    def _statement(self, asked: Asked) -> None:
        operation = asked.text.split(None, 1)[0].upper() if asked.text.strip() else "SQL"
        text = " ".join(asked.text.split())[:LONGEST_TEXT]
        self._add(operation, asked, {"db.system.name": "postgresql", "db.query.text": text})

    def _command(self, asked: Asked) -> None:
        self._add(asked.text, asked, {"db.system.name": "redis"})

    def _add(self, operation: str, asked: Asked, attributes: dict[str, Any]) -> None:
        """A span of what has ended. Outside of calls nothing is traced: the server asks all day long."""
        if not _within_call():
            return
        ended = time_ns()
        span = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            start_time=ended - int(asked.seconds * 1e9),
            attributes={"db.operation.name": operation, **attributes, **_place(asked)},
        )
        if asked.error is not None:
            _fail(span, type(asked.error).__name__)
            state = getattr(asked.error, "sqlstate", None)
            if state is not None:
                span.set_attribute("db.response.status_code", state)
        span.end(ended)

    async def _begin_request(self, session: Any, context: SimpleNamespace, params: Any) -> None:
        if not _within_call():
            return
        template = context.trace_request_ctx() if callable(context.trace_request_ctx) else None
        attributes = {"http.request.method": params.method, "server.address": params.url.host or ""}
        if params.url.port is not None:
            attributes["server.port"] = params.url.port
        if template is not None:
            attributes["url.template"] = template
        name = f"{params.method} {template}" if template else params.method
        context.span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        if self._outgoing:
            context_of.inject(params.headers, trace.set_span_in_context(context.span, Context()))

    async def _end_request(self, session: Any, context: SimpleNamespace, params: Any) -> None:
        span: Span | None = getattr(context, "span", None)
        if span is None:
            return
        status = params.response.status
        span.set_attribute("http.response.status_code", status)
        if status >= 400:
            _fail(span, str(status))
        span.end()

    async def _fail_request(self, session: Any, context: SimpleNamespace, params: Any) -> None:
        span: Span | None = getattr(context, "span", None)
        if span is not None:
            _fail(span, type(params.exception).__name__)
            span.end()


def _within_call() -> bool:
    """Whether there is a span that is kept; it may have ended, for asyncpg reports a statement a moment late."""
    return trace.get_current_span().get_span_context().trace_flags.sampled


def _parent(call: Call) -> Context:
    """The caller's context; what is no trace context begins a trace."""
    carrier = {} if call.trace is None else {"traceparent": call.trace}
    if call.tracestate is not None and len(call.tracestate) <= LONGEST_STATE:
        carrier["tracestate"] = call.tracestate
    return context_of.extract(carrier, Context())


def _continued(call: Call, span: Span) -> Call:
    carrier: dict[str, str] = {}
    context_of.inject(carrier, trace.set_span_in_context(span, Context()))
    return replace(call, trace=carrier.get("traceparent"), tracestate=carrier.get("tracestate"))


def _attributes(call: Call, method: str, plugin: str, name: str) -> dict[str, str]:
    attributes = {
        "mcp.method.name": method,
        "network.transport": "pipe" if call.door == "stdio" else "tcp",
        "gatelodge.plugin": plugin,
        "gatelodge.door": call.door,
        "gatelodge.tenant": str(call.principal.tenant),
        "gatelodge.request_id": call.request_id,
    }
    if call.kind == "tool":
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    elif call.kind == "prompt":
        attributes["gen_ai.prompt.name"] = name
    elif call.kind == "resource":
        attributes["mcp.resource.uri"] = name
    if call.principal.address is not None:
        attributes["client.address"] = call.principal.address
    version = call.meta.get(VERSION_KEY)
    return attributes | ({"mcp.protocol.version": version} if isinstance(version, str) else {})


def _conclude(span: Span, kind: str, outcome: str) -> None:
    span.set_attribute("gatelodge.outcome", outcome)
    if outcome not in FINE:
        _fail(span, "tool_error" if kind == "tool" and outcome != "cancelled" else outcome)


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _place(asked: Asked) -> dict[str, str | int]:
    where: dict[str, str | int] = {} if asked.place is None else {"db.namespace": asked.place}
    if isinstance(asked.address, tuple):
        host, port = asked.address
        where |= {"server.address": host, "server.port": port}
    return where


def _trace_config(begin: Any, end: Any, fail: Any) -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_request_start.append(begin)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    return config
