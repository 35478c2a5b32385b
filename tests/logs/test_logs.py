"""The log of a real process, line by line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

KEY = "a-key-that-is-long-enough"
CANARY = "glk_canary0000000000000000000"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Served:
    """`gatelodge serve` and what it has written on stderr once it has ended."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log: list[dict[str, Any]] = []
        self.text = ""


@asynccontextmanager
async def served(database: str, **settings: str) -> AsyncIterator[Served]:
    """A server process; its log is there afterwards."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GATELODGE_", "MCP_", "JIRA_"))}
    ports = {"MCP_PORT": "0", "MCP_JIRA_PORT": "0", "MCP_SQL_PORT": "0", "GATELODGE_LOCAL_USER": "true"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", "serve", "--quiet"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**plain, **ports, "DATABASE_URL": database, "LOG_LEVEL": "INFO", **settings},
    )
    assert process.stdout is not None
    listening = json.loads(await process.stdout.readline())
    server = Served(listening["listening"]["hub"])
    try:
        yield server
    finally:
        process.terminate()
        _, errors = await process.communicate()
        server.text = errors.decode()
    server.log = [json.loads(line) for line in server.text.splitlines()]


async def call(url: str, name: str, headers: dict[str, str] | None = None, **arguments: Any) -> None:
    body = {"name": name, "arguments": arguments}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/tools/invoke", json=body, headers=headers) as r:
        await r.read()


async def test_a_call_is_one_line(database: str) -> None:
    """With who, what, how long, and the ids to find it by."""
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    async with served(database) as server:
        await call(server.url, "sql.get_project_metrics", headers, project_key="GATE", days=7)
    (line,) = [line for line in server.log if line["event"] == "call"]
    assert line["level"] == "info"
    assert line["service"] == "gatelodge"
    assert line["tool"] == "sql.get_project_metrics"
    assert line["outcome"] == "ok"
    assert line["duration_ms"] > 0
    assert line["trace_id"] == TRACE
    assert {"timestamp", "tenant", "user", "request_id"} <= set(line)
    assert "slow" not in line


async def test_a_slow_call_is_marked(database: str) -> None:
    """As a warning, so it is seen at the default level too."""
    async with served(database, GATELODGE_SLOW_CALL_MS="0", LOG_LEVEL="WARNING") as server:
        await call(server.url, "sql.get_project_metrics", project_key="GATE", days=7)
    (line,) = [line for line in server.log if line["event"] == "call"]
    assert (line["level"], line["slow"]) == ("warning", True)


async def test_what_is_refused_before_it_is_a_call_is_a_line(database: str) -> None:
    """A 401, a 404, a body that is no JSON, and bytes that are no HTTP; each with the id that its reply carries."""
    ids = {}
    async with served(database, GATELODGE_LOCAL_USER="false", MCP_API_KEY=KEY) as server, aiohttp.ClientSession() as s:
        async with s.get(f"{server.url}/tools") as reply:
            ids[reply.headers["X-Request-Id"]] = (401, "GET", "/tools")
        async with s.get(f"{server.url}/nowhere", headers={"X-API-Key": KEY}) as reply:
            ids[reply.headers["X-Request-Id"]] = (404, "GET", "/nowhere")
        async with s.post(f"{server.url}/mcp", data=b"{", headers={"X-API-Key": KEY}) as reply:
            ids[reply.headers["X-Request-Id"]] = (400, "POST", "/mcp")
        await no_http(server.url)
    lines = [line for line in server.log if line["event"] == "refused"]
    assert {line["request_id"]: (line["status"], line["method"], line["path"]) for line in lines} == ids
    assert [line.get("user") for line in lines] == [None, "shared-key", "shared-key"]
    (malformed,) = [line for line in server.log if "not well-formed" in line["event"]]
    assert len(malformed["request_id"]) == 32


async def no_http(url: str) -> None:
    """Send what is no HTTP, and read until the server hangs up."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /tools HTTP/1.1\r\nno header\r\n\r\n")
    await reader.read()
    writer.close()


async def test_secrets_are_not_logged(database: str) -> None:
    """Neither from a header nor from an argument, at the most talkative level."""
    async with served(database, LOG_LEVEL="DEBUG") as server:
        await call(server.url, "sql.search_issues_by_text", {"X-Other": CANARY}, query=CANARY, project_keys=["GATE"])
        await call(server.url, "sql.search_issues_by_text", {"Authorization": f"Bearer {CANARY}"}, query="x")
        await call(server.url, f"made.{CANARY}", wrong=CANARY)
        await call(f"{server.url}/{CANARY}", "made")
    assert server.log
    assert CANARY not in server.text
