"""What /metrics says, in both forms, and whom it says it to."""

from __future__ import annotations

from contextlib import suppress

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gatelodge import Reading, StartupError, ToolError, hookimpl
from gatelodge.testing import Gatelodge, OpenGatelodge

from .desk import DeskPlugin

JSON = {"Accept": "application/json"}


async def families(gate: Gatelodge, path: str = "/metrics") -> dict[str, Metric]:
    """The families of the text form, by name."""
    async with gate.session.get(gate.url + path) as reply:
        assert reply.status == 200
        assert reply.content_type == "text/plain"
        return {family.name: family for family in text_string_to_metric_families(await reply.text())}


def value(family: Metric, **labels: str) -> float:
    """The sum of the samples that carry these labels, without buckets and sums."""
    return sum(
        sample.value
        for sample in family.samples
        if not sample.name.endswith(("_sum", "_bucket", "_created")) and labels.items() <= sample.labels.items()
    )


async def test_calls_are_counted_by_plugin_name_and_outcome(open_gatelodge: OpenGatelodge) -> None:
    """Errors too, refusals of bad arguments among them, and each call is timed."""
    gate = await open_gatelodge(("desk", DeskPlugin))
    for arguments in ({}, {}, {"fail": "upstream_5xx"}, {"wrong": 1}):
        with suppress(ToolError):
            await gate.call("desk.do", **arguments)
    found = await families(gate)
    desk = {"kind": "tool", "plugin": "desk", "name": "desk.do"}
    assert value(found["gatelodge_calls"], **desk, outcome="ok") == 2
    assert value(found["gatelodge_calls"], **desk) == 4
    assert value(found["gatelodge_call_errors"], **desk, code="upstream_5xx") == 1
    assert value(found["gatelodge_call_errors"], **desk, code="validation_error") == 1
    assert value(found["gatelodge_call_duration_seconds"], **desk) == 4


async def test_what_callers_make_up_is_no_label(open_gatelodge: OpenGatelodge) -> None:
    """Tools that are not there are one label, resources are counted by their template."""
    gate = await open_gatelodge(("desk", DeskPlugin))
    for number in range(3):
        with pytest.raises(ToolError):
            await gate.call(f"made.up{number}")
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "resources/read",
            "params": {"uri": f"desk://paper/{number}", "_meta": META},
        }
        async with gate.session.post(
            f"{gate.url}/mcp", json=message, headers=headers(f"desk://paper/{number}")
        ) as reply:
            assert (await reply.json())["result"]["contents"][0]["text"] == "paper"
    found = await families(gate)
    assert value(found["gatelodge_calls"], name="unknown", outcome="not_found") == 3
    assert value(found["gatelodge_calls"], kind="resource", name="desk://paper/{id}") == 3
    assert "made.up" not in str(found)
    assert "desk://paper/1" not in str(found)


async def test_json_has_the_names_of_the_guides(open_gatelodge: OpenGatelodge) -> None:
    """Also before the first call, and a listener shows those of its own plugins."""
    gate = await open_gatelodge(("desk", DeskPlugin))
    await gate.call("desk.do")
    await gate.call("sql.get_project_metrics", project_key="GATE", days=7)
    async with gate.session.get(f"{gate.url}/api/v1/mcp/metrics", headers=JSON) as reply:
        body = await reply.json()
    metrics = body["metrics"]
    assert metrics["mcp.jira.tool.invocations"]["total"] == 0
    assert metrics["mcp.jira.tool.errors"]["total"] == 0
    assert metrics["mcp.jira.tool.duration"] == {"count": 0, "mean_ms": None, "by_name": {}}
    assert metrics["mcp.desk.tool.invocations"]["by_outcome"] == {"ok": 1}
    assert metrics["mcp.sql.query.executions"]["by_name"] == {"sql.get_project_metrics": 1}
    assert metrics["mcp.sql.query.duration"]["mean_ms"] > 0
    assert body["families"]["gatelodge_postgres_connections"]["type"] == "gauge"
    async with gate.session.get(f"{gate.urls['sql']}/metrics", headers=JSON) as reply:
        assert {name.split(".")[1] for name in (await reply.json())["metrics"]} == {"sql"}


async def test_a_plugin_adds_its_own_metric(open_gatelodge: OpenGatelodge) -> None:
    """It is read when it is asked for."""
    gate = await open_gatelodge(("desk", DeskPlugin))
    await gate.call("desk.do")
    assert value((await families(gate, "/api/v1/mcp/metrics"))["desk_calls"]) == 1


async def test_one_name_of_two_plugins_stops_the_start(open_gatelodge: OpenGatelodge) -> None:
    """As with tools."""

    class Second:
        @hookimpl
        def gatelodge_metrics(self) -> list[Reading]:
            return [Reading("desk_calls_total", "Others.", lambda: 0)]

    with pytest.raises(StartupError, match="plugin_conflict: metrics of plugin second"):
        await open_gatelodge(("desk", DeskPlugin), ("second", Second))


KEY = "a-key-that-is-long-enough"
BEHIND_PROXY = {"X-Forwarded-For": "203.0.113.9"}


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, BEHIND_PROXY, 401),
        ({"GATELODGE_METRICS_PUBLIC": "true"}, BEHIND_PROXY, 200),
        ({"MCP_API_KEY": KEY}, BEHIND_PROXY | {"X-API-Key": KEY}, 200),
        ({"MCP_API_KEY": KEY, "MCP_API_KEY_SCOPES": "sql:read"}, BEHIND_PROXY | {"X-API-Key": KEY}, 403),
        ({"MCP_API_KEY": KEY, "MCP_API_KEY_SCOPES": "metrics:read"}, BEHIND_PROXY | {"X-API-Key": KEY}, 200),
        ({"MCP_ENABLED": "false"}, {}, 200),
    ],
)
async def test_who_may_read_metrics(
    open_gatelodge: OpenGatelodge, settings: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """This machine, anyone where they are public, and who signs in with the scope; also while all else is off."""
    gate = await open_gatelodge(**{"GATELODGE_LOCAL_USER": "false", **settings})
    for path in ("/metrics", "/api/v1/mcp/metrics"):
        async with gate.session.get(gate.url + path, headers=headers) as reply:
            assert reply.status == status


async def test_refusals_at_the_door_are_counted(open_gatelodge: OpenGatelodge) -> None:
    """By their code."""
    gate = await open_gatelodge(GATELODGE_LOCAL_USER="false")
    async with gate.session.get(f"{gate.url}/tools") as reply:
        assert reply.status == 401
    assert value((await families(gate))["gatelodge_door_refusals"], code="unauthorized") == 1


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def headers(uri: str) -> dict[str, str]:
    """Of a stateless request that reads a resource."""
    return {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "resources/read",
        "Mcp-Name": uri,
    }
