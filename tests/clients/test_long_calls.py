"""What takes long, seen by the official client: it says that it goes on, and when it is cancelled it stops at its source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from ..governed import until
from .conftest import World

WAYS = pytest.mark.parametrize(
    ("door", "mode"),
    [("http", "2026-07-28"), ("http", "legacy"), ("sse", "legacy"), ("stdio", "2026-07-28"), ("stdio", "legacy")],
)
QUERY = ("sql.search_issues_by_project", {"project_key": "PAY", "limit": 5})
WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM work_items%'
"""


@asynccontextmanager
async def connected(world: World, door: str, mode: str) -> AsyncIterator[Client]:
    command, args, env = world.stdio
    targets = {
        "http": lambda: f"{world.gate.url}/mcp",
        "sse": lambda: sse_client(f"{world.gate.url}/sse"),
        "stdio": lambda: StdioServerParameters(command=command, args=args, env=env),
    }
    async with Client(targets[door](), mode=mode) as client:
        await client.list_tools()  # a server on stdio has read its templates by then, which a lock would keep it from
        yield client


@dataclass(frozen=True, slots=True)
class Postgres:
    """Two connections past the server: inside of a transaction the view of the others would stand still."""

    watching: asyncpg.Connection
    holding: asyncpg.Connection

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Whatever reads the issues has to wait."""
        async with self.holding.transaction():
            await self.holding.execute("LOCK TABLE work_items IN ACCESS EXCLUSIVE MODE")
            yield

    async def waits(self) -> bool:
        """Whether a backend waits for the lock."""
        return bool(await self.watching.fetchval(WAITING))

    async def is_free(self) -> bool:
        return not await self.waits()


class Told:
    """The progress a client heard of."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.messages: list[str | None] = []
        self.twice = asyncio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.seconds.append(progress)
        self.messages.append(message)
        if len(self.seconds) == 2:
            self.twice.set()


@pytest.fixture
async def postgres(world: World, superuser: str) -> AsyncIterator[Postgres]:
    async with connection(superuser) as watching, connection(superuser) as holding:
        yield Postgres(watching, holding)


@asynccontextmanager
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize(("door", "mode"), [("http", "2026-07-28"), ("http", "legacy"), ("stdio", "legacy")])
async def test_a_long_query_tells_that_it_goes_on(world: World, postgres: Postgres, door: str, mode: str) -> None:
    """Every second while Postgres keeps it waiting; the seconds only grow, and then the rows come."""
    told = Told()
    async with connected(world, door, mode) as client:
        async with postgres.locked():
            call = asyncio.create_task(client.call_tool(*QUERY, progress_callback=told))
            await asyncio.wait([asyncio.create_task(told.twice.wait()), call], return_when=asyncio.FIRST_COMPLETED)
            assert not call.done()
        result = await call
    assert result.structured_content["row_count"] == 5
    assert told.seconds == sorted(set(told.seconds))
    assert told.messages[0] == "search_issues_by_project is still running, 0 rows so far"


@WAYS
async def test_a_cancelled_query_ends_in_postgres(world: World, postgres: Postgres, door: str, mode: str) -> None:
    """The backend that waited does so no more, while the lock is still held; the connection answers on."""
    async with connected(world, door, mode) as client:
        async with postgres.locked():
            call = asyncio.create_task(client.call_tool(*QUERY))
            await until(postgres.waits)
            call.cancel()
            await until(postgres.is_free)
        assert (await client.call_tool(*QUERY)).structured_content["row_count"] == 5


async def test_a_long_search_tells_that_it_goes_on(world: World) -> None:
    """As long as Jira keeps it waiting."""
    told = Told()
    world.jira.delay(3, match="POST .*/search/jql")
    async with connected(world, "http", "2026-07-28") as client:
        found = await client.call_tool("jira.search", {"query": "project = PAY"}, progress_callback=told)
    assert found.structured_content["issues"]
    assert told.seconds
    assert told.messages[0] == "Jira has yet to answer"
