"""Spans as a collector receives them: where they belong, what they say, and what they must not."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from gatelodge import LOCAL_TENANT, Principal, StartupError
from gatelodge.application import open_server
from gatelodge.logs import set_up_logs
from gatelodge.testing import DEFAULTS, Gatelodge, OpenGatelodge
from gatelodge.toolset import Origin

from ..governed import until
from .collector import Collector, collecting

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "00f067aa0ba902b7"
CONTEXT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "rojo=1"}
CANARY = "canary7731"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


def traced(collector: Collector, **settings: str) -> dict[str, str]:
    """Settings that send spans there at once."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50", **settings}


async def invoke(gate: Gatelodge, tool: str, headers: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    body = {"name": tool, "arguments": arguments}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        return {"status": reply.status, **await reply.json()}


async def message(gate: Gatelodge, headers: dict[str, str], **meta: Any) -> None:
    """`tools/call` of the stateless revision."""
    params = {"name": "sql.get_project_metrics", "arguments": {"project_key": "GATE"}, "_meta": META | meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": params["name"]}
    accept = {"Accept": "application/json, text/event-stream"}
    async with gate.session.post(f"{gate.url}/mcp", json=body, headers=accept | mirrored | headers) as reply:
        assert reply.status == 200


async def test_a_call_continues_the_trace_of_its_request(open_gatelodge: OpenGatelodge, collector: Collector) -> None:
    """One server span, named and described after the conventions, below the span that the header names."""
    gate = await open_gatelodge(**traced(collector, OTEL_EXPORTER_OTLP_HEADERS="x-team=gate"))
    answer = await invoke(gate, "sql.get_project_metrics", CONTEXT, project_key="GATE", days=7)
    span = await collector.named("tools/call sql.get_project_metrics")
    assert (span.kind, span.trace, span.parent, span.state) == ("server", TRACE, PARENT, "rojo=1")
    assert not span.failed
    expected = {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "sql.get_project_metrics",
        "network.transport": "tcp",
        "client.address": "127.0.0.1",
        "gatelodge.request_id": answer["request_id"],
        "gatelodge.outcome": "ok",
    }
    assert expected.items() <= span.attributes.items()
    assert collector.resource["service.name"] == "gatelodge"
    assert collector.headers["x-team"] == "gate"


async def test_the_context_of_the_message_comes_first(open_gatelodge: OpenGatelodge, collector: Collector) -> None:
    """`_meta` says what the call belongs to; the header only what its transport does. Source: MCP SEP-414."""
    gate = await open_gatelodge(**traced(collector))
    await message(gate, CONTEXT, traceparent=f"00-{OTHER}-{PARENT}-01", tracestate="congo=2")
    span = await collector.named("tools/call sql.get_project_metrics")
    assert (span.trace, span.parent, span.state) == (OTHER, PARENT, "congo=2")
    assert span.attributes["mcp.protocol.version"] == "2026-07-28"


@pytest.mark.parametrize("given", [None, "nonsense", "00-" + "0" * 32 + "-" + PARENT + "-01", 7])
async def test_what_is_no_context_begins_a_trace(
    open_gatelodge: OpenGatelodge, collector: Collector, given: Any
) -> None:
    """A call is never refused for it."""
    gate = await open_gatelodge(**traced(collector))
    await message(gate, {}, **({} if given is None else {"traceparent": given, "tracestate": "=,;" * 900}))
    span = await collector.named("tools/call sql.get_project_metrics")
    assert (span.parent, span.state) == ("", "")
    assert span.trace not in ("0" * 32, TRACE)


async def test_what_a_call_asks_of_others_is_below_it(
    open_gatelodge: OpenGatelodge, collector: Collector, valkey: str
) -> None:
    """SQL statements, Redis commands and Jira's HTTP requests, in the time of the call; nothing of what runs beside it."""
    gate = await open_gatelodge(**traced(collector, REDIS_URL=valkey))
    await invoke(gate, "sql.get_project_metrics", project_key="GATE", days=7)
    await invoke(gate, "jira.get_issue", issue_key="OPS-1")
    query = await collector.named("tools/call sql.get_project_metrics")
    asked = collector.below(query)
    statement = next(span for span in asked if "work_item_metrics_daily" in span.attributes.get("db.query.text", ""))
    assert statement.kind == "client"
    assert "$1" in statement.attributes["db.query.text"]
    assert {"EVALSHA", "SET"} <= {span.name for span in asked if span.attributes["db.system.name"] == "redis"}
    issue = await collector.named("tools/call jira.get_issue")
    request = next(span for span in collector.below(issue) if span.name == "GET /rest/api/3/issue/{}")
    assert request.attributes["http.response.status_code"] == 200
    assert request.seconds <= issue.seconds
    roots = [span for span in collector.spans if not span.parent]
    assert {span.kind for span in roots} == {"server"}


async def test_a_failure_is_marked_and_not_quoted(open_gatelodge: OpenGatelodge, collector: Collector) -> None:
    """The span has the error's kind alone: messages quote what callers sent."""
    gate = await open_gatelodge(**traced(collector))
    answer = await invoke(gate, "jira.get_issue", issue_key="OPS-99999")
    assert answer["error"]["code"] == "not_found"
    span = await collector.named("tools/call jira.get_issue")
    assert span.failed
    assert span.attributes["error.type"] == "tool_error"
    assert span.attributes["gatelodge.outcome"] == "not_found"
    request = next(s for s in collector.below(span) if s.attributes.get("http.response.status_code") == 404)
    assert request.failed


async def test_no_span_says_what_with(open_gatelodge: OpenGatelodge, collector: Collector, valkey: str) -> None:
    """No argument of any kind, and no key, in any byte that leaves."""
    key = f"{CANARY}-is-the-key-here"
    gate = await open_gatelodge(**traced(collector, MCP_API_KEY=key, REDIS_URL=valkey))
    headers = {"X-API-Key": key, "Idempotency-Key": f"{CANARY}-once"}
    await invoke(gate, "sql.search_issues_by_text", headers, query=CANARY, project_keys=[CANARY.upper()])
    await invoke(gate, "jira.search", headers, query=f'text ~ "{CANARY}"')
    await invoke(gate, "jira.get_issue", headers, issue_key=f"{CANARY.upper()}-1")
    created = {"project_key": "OPS", "issue_type": "Task", "summary": CANARY, "description": CANARY}
    await invoke(gate, "jira.create_issue", headers, **created)
    await invoke(gate, "jira.add_comment", headers, issue_key="OPS-1", body=CANARY, wrong=CANARY)
    await invoke(gate, f"{CANARY}.tool", headers)
    await collector.named("tools/call jira.add_comment")
    assert len(collector.spans) > 10
    assert CANARY not in collector.raw.decode(errors="replace").lower()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged, as JSON lines."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers = list(root.handlers)
    set_up_logs("json", stream)
    yield stream
    root.handlers[:] = handlers


async def test_log_and_audit_carry_the_spans_trace(
    open_gatelodge: OpenGatelodge, collector: Collector, database: str, log: io.StringIO
) -> None:
    """Also where the caller has none: then it is the trace that the call began."""
    gate = await open_gatelodge(**traced(collector, LOG_LEVEL="INFO"))
    answer = await invoke(gate, "sql.get_project_metrics", project_key="GATE", days=7)
    span = await collector.named("tools/call sql.get_project_metrics")
    (line,) = [each for each in map(json.loads, log.getvalue().splitlines()) if each["event"] == "call"]
    assert (line["trace_id"], line["request_id"]) == (span.trace, answer["request_id"])
    found: list[asyncpg.Record] = []

    async def written() -> bool:
        found[:] = await connection.fetch("SELECT trace FROM audit_logs WHERE request_id = $1", answer["request_id"])
        return bool(found)

    connection = await asyncpg.connect(database)
    await until(written)
    await connection.close()
    assert found[0]["trace"].startswith(f"00-{span.trace}-{span.id}-")


@pytest.mark.parametrize("outgoing", [False, True])
async def test_jira_hears_of_the_trace_only_where_it_may(
    open_gatelodge: OpenGatelodge, collector: Collector, outgoing: bool
) -> None:
    """By default nobody outside learns our ids; else they are those of the span of the request itself."""
    heard: list[str | None] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.headers.get("traceparent"))
        return web.json_response({"errorMessages": ["no"]}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hear)
    async with TestServer(app) as jira:
        settings = {"JIRA_URL": str(jira.make_url("")), "JIRA_PERSONAL_TOKEN": "token"}
        gate = await open_gatelodge(**traced(collector, GATELODGE_TRACE_OUTGOING=str(outgoing).lower(), **settings))
        await invoke(gate, "jira.get_issue", issue_key="OPS-1")
    span = await collector.named("GET /rest/api/2/serverInfo")
    assert heard[0] == (f"00-{span.trace}-{span.id}-03" if outgoing else None)


async def counted(gate: Gatelodge) -> dict[str, float]:
    """What became of spans, by /metrics."""
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        families = {each.name: each for each in text_string_to_metric_families(await reply.text())}
    return {sample.labels["event"]: sample.value for sample in families["gatelodge_trace_spans"].samples}


async def test_what_a_collector_refuses_is_counted(open_gatelodge: OpenGatelodge, collector: Collector) -> None:
    """And what it takes; calls are answered all along."""
    gate = await open_gatelodge(**traced(collector))
    collector.refusing = True
    assert (await invoke(gate, "sql.get_project_metrics", project_key="GATE", days=7))["status"] == 200

    async def failed() -> bool:
        return (await counted(gate))["failed"] > 0

    await until(failed)
    collector.refusing = False
    assert (await invoke(gate, "sql.get_project_metrics", project_key="GATE", days=7))["status"] == 200
    await collector.named("tools/call sql.get_project_metrics")

    async def all_counted() -> bool:
        counts = await counted(gate)
        return counts["exported"] > 0 and counts["exported"] + counts["failed"] == counts["ended"]

    await until(all_counted)


async def test_a_collector_that_never_answers_holds_up_no_stop(database: str) -> None:
    """The last spans get a few seconds, and no more."""
    taken: list[asyncio.StreamWriter] = []
    collector = await asyncio.start_server(lambda reader, writer: taken.append(writer), "127.0.0.1", 0)
    host, port = collector.sockets[0].getsockname()
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    async with asyncio.timeout(60):
        async with open_server({**DEFAULTS, **settings, "DATABASE_URL": database}) as server:
            origin = Origin(
                Principal(tenant=LOCAL_TENANT, user="me", method="test", scopes=frozenset({"*:write"})), "test"
            )
            result = await server.hub.call_tool("sql.get_project_metrics", {"project_key": "GATE"}, origin)
            assert result.outcome == "ok"
            await until(lambda: taken)
    collector.close()
    for writer in taken:
        writer.close()


IMPORTED = """
import asyncio, sys
from gatelodge.application import open_server
async def main():
    async with open_server({"DATABASE_URL": sys.argv[1], "GATELODGE_JIRA_SANDBOX": "false"}) as server:
        print("otel" in server.plugins.catalogue.plugins, any(m.name == "otel" for m in server.catalogue.middleware))
    ours = ("gatelodge.tracing.spans", "gatelodge.tracing.exporting", "opentelemetry.sdk.trace", "opentelemetry.exporter")
    print([name for name in sys.modules if name.startswith(ours)])  # redis-py imports the metrics part of the SDK itself
asyncio.run(main())
"""


def python(program: str, *arguments: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


async def test_off_it_is_neither_imported_nor_on_the_way_of_a_call(database: str) -> None:
    """The plugin is there, and that is all."""
    out, err = await asyncio.to_thread(python, IMPORTED, database)
    assert out == "True False\n[]\n", err


async def test_configured_but_not_installed_stops_the_start(database: str) -> None:
    """With the command that installs it."""
    program = IMPORTED.replace('{"DATABASE_URL"', '{"OTEL_TRACES_EXPORTER": "otlp", "DATABASE_URL"')
    _, err = await asyncio.to_thread(python, "import sys; sys.modules['opentelemetry'] = None\n" + program, database)
    assert "pip install 'gatelodge[otel]'" in err


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPIONT": "http://127.0.0.1:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_PROPAGATORS": "b3"}, "OTEL_PROPAGATORS"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret77"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"GATELODGE_TRACE_OUTGOING": "true"}, "traces are off"),
    ],
)
async def test_half_a_configuration_stops_the_start(
    open_gatelodge: OpenGatelodge, settings: dict[str, str], named: str
) -> None:
    """So does a misspelt one, and no message has a secret value."""
    with pytest.raises(StartupError, match=named) as refused:
        await open_gatelodge(**settings)
    assert "secret77" not in str(refused.value)
