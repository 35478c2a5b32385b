"""Failures of a real server, as they arrive where the operator collects them."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from gatelodge import StartupError, hookimpl
from gatelodge.contract import Route, RouteRequest
from gatelodge.testing import OpenGatelodge

from ..alerts.desk import DeskPlugin, check, do
from ..governed import until
from ..webhooks.receiver import Receiver

CANARY = "canary-4711"


class CellarPlugin(DeskPlugin):
    """A desk with a route that breaks."""

    @hookimpl
    def gatelodge_routes(self) -> Sequence[Route]:
        async def fall(request: RouteRequest) -> Any:
            raise LookupError(f"{request.path} {CANARY}")

        return [Route("GET", "/cellar/{step}", fall)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as receiver:
        yield receiver


def reporting(receiver: Receiver) -> dict[str, str]:
    """Settings under which failures are posted there, and nothing else is."""
    secret = receiver.settings["GATELODGE_WEBHOOK_SECRET"]
    return {"GATELODGE_ERROR_REPORT_URL": receiver.url, "GATELODGE_WEBHOOK_SECRET": secret}


async def test_a_crash_is_reported_once(open_gatelodge: OpenGatelodge, receiver: Receiver) -> None:
    """Signed, with the request's id and where it broke; what is the caller's or an upstream's doing is not reported."""
    gate = await open_gatelodge(("desk", DeskPlugin), **reporting(receiver))
    await do(gate, fail="validation_error")
    await do(gate, fail="upstream_5xx")
    await do(gate, 5, crash=f"password={CANARY} and {CANARY}")
    await receiver.until(lambda r: r.taken)
    await do(gate, fail="internal")
    await receiver.until(lambda r: len(r.taken) == 2)
    crash, deliberate = (message["data"] for message in receiver.taken)
    assert receiver.types == ["error.reported", "error.reported"]
    assert (crash["kind"], crash["name"], crash["plugin"], crash["door"]) == ("tool", "desk.do", "desk", "rest")
    assert crash["raised"][0]["type"] == "RuntimeError"
    assert crash["raised"][0]["frames"][-1]["function"] == "do"
    assert len(crash["request_id"]) == 32
    assert deliberate["raised"][0]["type"] == "ToolError"
    assert CANARY not in json.dumps(receiver.taken)
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        assert 'gatelodge_error_reports_total{event="left_out"} 4.0' in await reply.text()


async def test_a_request_that_breaks_at_the_door_is_reported_too(
    open_gatelodge: OpenGatelodge, receiver: Receiver, database: str
) -> None:
    """By its route as registered, with the id its caller was given; and it is in the audit."""
    gate = await open_gatelodge(("cellar", CellarPlugin), **reporting(receiver))
    async with gate.session.get(f"{gate.url}/cellar/{CANARY}") as reply:
        assert reply.status == 500
        request_id = (await reply.json())["error"]["request_id"]
    await receiver.until(lambda r: r.taken)
    data = receiver.taken[0]["data"]
    assert (data["kind"], data["name"], data["request_id"]) == ("request", "GET /cellar/{step}", request_id)
    assert data["raised"][0]["type"] == "LookupError"
    assert CANARY not in json.dumps(receiver.taken)
    found = "SELECT outcome FROM audit_logs WHERE action = 'request' AND request_id = $1"

    async def written() -> bool:
        connection = await asyncpg.connect(database)
        try:
            return await connection.fetchval(found, request_id) == "internal"
        finally:
            await connection.close()

    await until(written)


async def test_a_dead_collector_shows_and_stops_nothing(open_gatelodge: OpenGatelodge, receiver: Receiver) -> None:
    """Calls are answered, health tells, and what waits is delivered when the collector is back."""
    receiver.mode = "refuse"
    gate = await open_gatelodge(("desk", DeskPlugin), **reporting(receiver))
    await do(gate, crash="x")
    await receiver.until(lambda r: len(r.tries) >= 2)
    assert await gate.call("desk.do") == {"done": True}
    state = await check(gate, "error_reports")
    assert (state["status"], state["ready"]) == ("failed", "ready")
    receiver.mode = "take"
    await receiver.until(lambda r: r.taken)


class Ingest:
    """Where Sentry's SDK sends envelopes: a real HTTP server."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.raw = b""
        self.dsn = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Ingest]:
        app = web.Application()
        app.router.add_post("/api/7/envelope/", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.dsn = f"http://publickey@127.0.0.1:{runner.addresses[0][1]}/7"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.raw += body
        self.events += [item for line in body.splitlines() if "exception" in (item := json.loads(line))]
        return web.json_response({"id": "0"})


async def test_sentry_gets_the_same_and_no_more(open_gatelodge: OpenGatelodge) -> None:
    """Through its SDK: tags and a stack, but no argument, no message, no variable, no user, no list of modules."""
    async with Ingest().listening() as ingest:
        gate = await open_gatelodge(("desk", DeskPlugin), GATELODGE_SENTRY_DSN=ingest.dsn)
        await do(gate, crash=CANARY)
        await until(lambda: ingest.events)
    (event,) = ingest.events
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "do"
    assert event["tags"]["name"] == "desk.do"
    assert event["release"].startswith("gatelodge@")
    assert {"user", "request", "breadcrumbs", "modules"}.isdisjoint(event)
    assert CANARY.encode() not in ingest.raw


async def test_a_wrong_dsn_stops_the_start(open_gatelodge: OpenGatelodge) -> None:
    """By the setting's name, without its value."""
    with pytest.raises(StartupError, match="GATELODGE_SENTRY_DSN") as caught:
        await open_gatelodge(GATELODGE_SENTRY_DSN="http://nonsense")
    assert "nonsense" not in str(caught.value)
