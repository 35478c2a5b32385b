"""The same caller meets the same decision at every door."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from gatelodge import Result, Route, RouteRequest, hookimpl
from gatelodge.audit.journal import NOBODY
from gatelodge.identity.key_store import KeyStore
from gatelodge.storage.postgres import create_pool
from gatelodge.switches.store import forget, store
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..governed import rows, until
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
    """Notes with a listener of their own, and a route to them."""

    @hookimpl
    def gatelodge_port(self) -> int:
        return 9999

    @hookimpl
    def gatelodge_routes(self) -> Sequence[Route]:
        async def invoke(request: RouteRequest) -> Result:
            return await request.invoke(request.path["tool"], request.body)

        return (Route("POST", "/notes/{tool}", invoke),)


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
    seen = [(caller, tool, await door(gate, callers[caller], tool, None)) for caller, tool, _ in OUTCOMES]
    assert seen == OUTCOMES


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_every_door_is_written_down(
    callers: dict[str, dict[str, str]], gate: Gatelodge, database: str, door: Door
) -> None:
    """Whatever was answered at a door stands in the book: refusals, what is not there, 429s and replays too."""
    switches = gate.server.policy.switches
    async with await create_pool(database, max_size=1) as pool:
        for caller, tool, _ in OUTCOMES:
            await door(gate, callers[caller], tool, None)
        await store(pool, switches, {"rate_limit_overrides": {str(TENANT): {"user": "3/7d"}}}, by="test")
        await until(lambda: switches.get("rate_limit_overrides"))
        told = [await door(gate, callers["writer"], "notes.write", "a-key") for _ in range(4)]
        assert told == ["ok", "replayed", "replayed", "rate_limited"]

    async def written() -> list[tuple[str, str]]:
        found = [*await rows(database, TENANT), *await rows(database, NOBODY)]
        return [(row["user_id"] or "nobody", row["outcome"]) for row in found if row["kind"] != "intent"]

    expected = [("nobody" if outcome == "unauthorized" else caller, outcome) for caller, _, outcome in OUTCOMES]
    expected += [("writer", outcome) for outcome in told]
    async with asyncio.timeout(60):
        await until(lambda: _holds(written, expected))


async def _holds(written: Callable[[], Awaitable[list[tuple[str, str]]]], expected: list[tuple[str, str]]) -> bool:
    return not Counter(expected) - Counter(await written())


async def test_switched_off_at_every_door(gate: Gatelodge, database: str) -> None:
    """`mcp_enabled` off answers `disabled` at each door while health stays up; on again, all is as before."""
    shared = {"x-api-key": SHARED}
    pool = await create_pool(database, max_size=1)
    switches = gate.server.policy.switches
    await store(pool, switches, {"mcp_enabled": False}, by="test")
    await becomes(gate, "disabled")
    assert {name: await door(gate, shared, "notes.read", None) for name, door in DOORS.items()} == dict.fromkeys(
        DOORS, "disabled"
    )
    for path in ("/", "/health", "/health/ready", "/health/mcp"):
        async with gate.session.get(gate.url + path) as reply:
            assert reply.status == 200
    for path in ("/tools", "/api/v1/mcp/tools/list", "/sse"):
        async with gate.session.get(gate.url + path, headers=shared) as reply:
            assert reply.status == 503
    await forget(pool, switches.known["mcp_enabled"], by="test")
    await pool.close()
    await becomes(gate, "ok")
    assert {name: await door(gate, shared, "notes.read", None) for name, door in DOORS.items()} == dict.fromkeys(
        DOORS, "ok"
    )


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
