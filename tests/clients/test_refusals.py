"""Both official clients show why they are refused, and go on after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from gatelodge.identity.key_store import KeyStore
from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, NotesPlugin
from ..protocol.recording import Recording
from .conftest import listened_to
from .driver import typescript

MODES = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])


@pytest.fixture
async def key(database: str) -> dict[str, str]:
    """The headers of a caller who may read notes, and not write them."""
    pool = await create_pool(database, max_size=1)
    _, key = await KeyStore(pool).create(tenant=TENANT, user="ann", scopes=frozenset({"notes:read"}), tools=None)
    await pool.close()
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def gate(key: dict[str, str], open_gatelodge: OpenGatelodge, recording: Recording) -> AsyncIterator[Gatelodge]:
    opened = await open_gatelodge(("notes", NotesPlugin), GATELODGE_LOCAL_USER="false")
    async with listened_to(opened, recording) as gate:
        yield gate


def messages(error: BaseException) -> str:
    """All that an error and those it groups say."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([str(error), *map(messages, inner)])


@MODES
async def test_python_is_told_that_it_needs_a_key(gate: Gatelodge, mode: str) -> None:
    """A 401 reaches the caller with the server's words."""
    with pytest.raises((MCPError, ExceptionGroup)) as refusal:
        async with Client(f"{gate.url}/mcp", mode=mode) as client:
            await client.list_tools()
    assert "Credentials are required" in messages(refusal.value)


@MODES
async def test_python_goes_on_after_a_missing_scope(gate: Gatelodge, key: dict[str, str], mode: str) -> None:
    """A 403 is the error of one call, with the scope it needs; the next call answers."""
    async with (
        httpx2.AsyncClient(headers=key) as http,
        Client(streamable_http_client(f"{gate.url}/mcp", http_client=http), mode=mode) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == ["notes.read"]
        with pytest.raises(MCPError, match="needs notes:write") as refusal:
            await client.call_tool("notes.write", {})
        assert refusal.value.error.data["details"] == {"missing_scopes": ["notes:write"]}
        assert (await client.call_tool("notes.read", {})).structured_content["user"] == "ann"


async def test_python_goes_on_over_sse(gate: Gatelodge, key: dict[str, str]) -> None:
    """Over the older transport the refusal comes down the stream, which stays open."""
    async with Client(sse_client(f"{gate.url}/sse", headers=key), mode="legacy") as client:
        with pytest.raises(MCPError, match="needs notes:write"):
            await client.call_tool("notes.write", {})
        assert (await client.call_tool("notes.read", {})).structured_content["user"] == "ann"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_typescript_shows_and_survives_both(
    gate: Gatelodge, key: dict[str, str], node_packages: Path, mode: str
) -> None:
    """A 401 says that one must sign in; a 403 is the error of one call, and names the scope."""
    setup: dict[str, Any] = {"door": "http", "url": f"{gate.url}/mcp", "mode": mode}
    async with typescript(node_packages) as client:
        thrown = (await client.ask(setup))["thrown"]
        assert "Credentials are required" in thrown or "requires authorization (HTTP 401)" in thrown
    async with typescript(node_packages) as client:
        await client.ask(setup | {"headers": key})
        assert (await client.do("tools"))["tools"] == ["notes.read"]
        refused = await client.ask({"do": "call", "name": "notes.write", "arguments": {}})
        assert "notes:write" in refused["thrown"]
        assert (await client.call("notes.read", {}))["user"] == "ann"
