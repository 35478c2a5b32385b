"""The same caller meets the same decision at every door."""

from __future__ import annotations

import asyncio

import pytest

from gatelodge import hookimpl
from gatelodge.identity.key_store import KeyStore
from gatelodge.storage.postgres import create_pool
from gatelodge.switches.store import forget, store
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, NotesPlugin
from .doors import DOORS, Door

SHARED = "a shared key, long enough"
OUTCOMES = [
    ("nobody", "notes.read", "unauthorized"),
    ("stranger", "notes.read", "unauthorized"),
    ("reader", "notes.read", "ok"),
    ("reader", "notes.write", "forbidden"),
    ("reader", "notes.nothing", "not_found"),
    ("writer", "notes.read", "ok"),
    ("writer", "notes.write", "ok"),
    ("listed", "notes.read", "forbidden"),
    ("listed", "notes.write", "ok"),
    ("elsewhere", "notes.read", "forbidden"),
    ("one_tool", "notes.write", "ok"),
    ("one_tool", "notes.read", "forbidden"),
]


class NotesWithPort(NotesPlugin):
    """Notes with a listener of their own."""

    @hookimpl
    def gatelodge_port(self) -> int:
        return 9999


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    return await open_gatelodge(
        ("notes", NotesWithPort), GATELODGE_LOCAL_USER="false", MCP_NOTES_PORT="0", MCP_API_KEY=SHARED
    )


@pytest.fixture
async def callers(database: str) -> dict[str, dict[str, str]]:
    """The headers of each caller of the table."""
    pool = await create_pool(database, max_size=1)
    keys = KeyStore(pool)
    rights: dict[str, tuple[set[str], tuple[str, ...] | None]] = {
        "reader": ({"notes:read"}, None),
        "writer": ({"notes:write"}, None),
        "listed": ({"admin"}, ("notes.wr*", "jira.*")),
        "elsewhere": ({"jira:write", "sql:read"}, None),
        "one_tool": ({"tool:notes.write"}, None),
    }
    made = {
        name: {"x-api-key": (await keys.create(tenant=TENANT, user=name, scopes=frozenset(scopes), tools=tools))[1]}
        for name, (scopes, tools) in rights.items()
    }
    await pool.close()
    return made | {"nobody": {}, "stranger": {"x-api-key": "nonsense"}}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_every_door_decides_alike(callers: dict[str, dict[str, str]], gate: Gatelodge, door: Door) -> None:
    """Who may call what is the same through each door, and so is the code of the refusal."""
    seen = [(caller, tool, await door(gate, callers[caller], tool)) for caller, tool, _ in OUTCOMES]
    assert seen == OUTCOMES


async def test_switched_off_at_every_door(gate: Gatelodge, database: str) -> None:
    """`mcp_enabled` off answers `disabled` at each door while health stays up; on again, all is as before."""
    shared = {"x-api-key": SHARED}
    pool = await create_pool(database, max_size=1)
    switches = gate.server.policy.switches
    await store(pool, switches, {"mcp_enabled": False}, by="test")
    await becomes(gate, "disabled")
    assert {name: await door(gate, shared, "notes.read") for name, door in DOORS.items()} == dict.fromkeys(
        DOORS, "disabled"
    )
    for path in ("/", "/health", "/health/ready", "/health/mcp"):
        async with gate.session.get(gate.url + path) as reply:
            assert reply.status == 200
    for path in ("/tools", "/api/v1/mcp/tools/list", "/sse"):
        async with gate.session.get(gate.url + path, headers=shared) as reply:
            assert reply.status == 503
    await forget(pool, "mcp_enabled")
    await pool.close()
    await becomes(gate, "ok")
    assert {name: await door(gate, shared, "notes.read") for name, door in DOORS.items()} == dict.fromkeys(DOORS, "ok")


async def becomes(gate: Gatelodge, status: str) -> None:
    """Wait for what `/health/mcp` says."""
    async with asyncio.timeout(10):
        while True:
            async with gate.session.get(f"{gate.url}/health/mcp") as reply:
                if (await reply.json())["status"] == status:
                    return
            await asyncio.sleep(0.02)


async def test_switched_off_by_the_environment(open_gatelodge: OpenGatelodge) -> None:
    """MCP_ENABLED=false is where the switch stands until an operator sets it."""
    gate = await open_gatelodge(("notes", NotesPlugin), MCP_ENABLED="false")
    async with gate.session.get(f"{gate.url}/health/mcp") as reply:
        assert (await reply.json())["mcp_enabled"] is False
    async with gate.session.get(f"{gate.url}/tools") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (503, "disabled")
