"""Alerts of real servers, as a receiver that checks signatures hears them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatelodge.testing import Cluster, OpenGatelodge

from ..operations.processes import command
from ..webhooks.receiver import Receiver
from .desk import DeskPlugin, check, do

DESK = ("desk", DeskPlugin)
BRIEF = {"GATELODGE_ALERT_WINDOW": "10", "GATELODGE_AUDIT_PATIENCE": "0.5"}
ONLY_ERRORS = {"MCP_ALERT_THRESHOLD_ERROR_RATE": "0"}


@pytest.fixture
async def settings() -> Any:
    async with Receiver().listening() as receiver:
        yield receiver, {**BRIEF, **receiver.settings}


def alerts(receiver: Receiver) -> list[tuple[str, str]]:
    return [(message["type"], message["data"]["alert"]) for message in receiver.taken if "alert" in message["data"]]


async def test_an_alert_fires_once_and_clears_once(open_gatelodge: OpenGatelodge, settings: Any) -> None:
    """Errors over the threshold are told of, shown by health and metrics, and their end is told of too."""
    receiver, variables = settings
    gate = await open_gatelodge(DESK, **variables, **ONLY_ERRORS)
    await do(gate, 9, fail="upstream_5xx")
    await do(gate, 20, fail="validation_error")
    assert not receiver.taken
    async with asyncio.timeout(60):
        while not receiver.taken:
            await do(gate, 3, fail="timeout")
            await asyncio.sleep(0.05)
    assert alerts(receiver) == [("alert.fired", "errors")]
    fired = receiver.taken[0]
    assert fired["data"]["faults"] >= 10
    assert fired["text"].startswith("Alert errors: ")
    state = await check(gate, "alerts")
    assert (state["status"], state["critical"], state["ready"]) == ("failed", False, "ready")
    assert state["detail"].startswith("firing: errors since ")
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        assert 'gatelodge_alert_firing{alert="errors"} 1.0' in await reply.text()
    await receiver.until(lambda r: len(r.taken) == 2)
    assert alerts(receiver)[1] == ("alert.cleared", "errors")
    assert receiver.taken[1]["data"]["since"] is not None
    assert (await check(gate, "alerts"))["status"] == "ok"


async def test_a_rate_of_errors_and_slow_calls(open_gatelodge: OpenGatelodge, settings: Any) -> None:
    """Thresholds are live: each of the two is reached by one call in ten."""
    receiver, variables = settings
    variables |= {"MCP_ALERT_THRESHOLD_ERRORS": "0", "GATELODGE_ALERT_WINDOW": "20"}
    gate = await open_gatelodge(DESK, **variables, MCP_ALERT_THRESHOLD_RESPONSE_TIME="100")
    await do(gate, 18)
    await do(gate, 1, fail="network_error")
    await do(gate, 1, seconds=0.15)
    await receiver.until(lambda r: len(r.taken) >= 2)
    assert sorted(alerts(receiver)) == [("alert.fired", "error_rate"), ("alert.fired", "response_time")]


async def test_servers_count_together_and_tell_once(open_gatelodge: OpenGatelodge, settings: Any) -> None:
    """Six errors at one server and six at another are twelve; one of them says so, and both show it."""
    receiver, variables = settings
    variables |= {"GATELODGE_ALERT_WINDOW": "20"}
    gates = [await open_gatelodge(DESK, **variables, **ONLY_ERRORS) for _ in range(2)]
    for gate in gates:
        await do(gate, 6, fail="internal")
    await receiver.until(lambda r: r.taken)
    async with asyncio.timeout(30):
        for gate in gates:
            while (await check(gate, "alerts"))["status"] != "failed":  # noqa: ASYNC110, it is asked over HTTP
                await asyncio.sleep(0.05)
    assert alerts(receiver) == [("alert.fired", "errors")]


async def test_alerts_can_be_switched_off_and_raised(
    open_gatelodge: OpenGatelodge, settings: Any, database: str
) -> None:
    """While the server runs; a wrong value is refused."""
    receiver, variables = settings
    gate = await open_gatelodge(DESK, **variables, **ONLY_ERRORS)
    await command("settings", "set", "alerts_enabled", "false", DATABASE_URL=database)
    async with asyncio.timeout(30):
        while (await check(gate, "alerts"))["detail"] != "switched off":  # noqa: ASYNC110, it comes through Postgres
            await asyncio.sleep(0.05)
    await do(gate, 12, fail="internal")
    await asyncio.sleep(0.3)
    assert not receiver.taken
    status, _, complaint = await command("settings", "set", "alert_threshold_error_rate", "101", DATABASE_URL=database)
    assert (status, "alert_threshold_error_rate" in complaint) == (1, True)
    await command("settings", "set", "alert_threshold_errors", "1", DATABASE_URL=database)
    await command("settings", "set", "alerts_enabled", "true", DATABASE_URL=database)
    async with asyncio.timeout(60):
        while not receiver.taken:
            await do(gate, 1, fail="internal")
            await asyncio.sleep(0.05)
    assert alerts(receiver)[0] == ("alert.fired", "errors")


async def test_an_audit_that_fails_is_told_without_postgres(
    open_gatelodge: OpenGatelodge, settings: Any, cluster: Cluster, database: str
) -> None:
    """By the process itself, and again when it is well; alerts are not decided meanwhile."""
    receiver, variables = settings
    gate = await open_gatelodge(DESK, **variables)
    name = "test_" + database.partition("/test_")[2].partition("?")[0]
    await do(gate)
    await cluster.run(
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    try:
        async with asyncio.timeout(60):
            while not receiver.taken:
                await do(gate)
                await asyncio.sleep(0.1)
        (failing,) = receiver.taken
        assert failing["type"] == "audit.failing"
        assert ":" in failing["data"]["replica"]
        assert (await check(gate, "alerts"))["detail"].startswith("not decided: ")
    finally:
        await cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await receiver.until(lambda r: "audit.recovered" in r.types)
    await do(gate)
