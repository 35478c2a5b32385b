"""The kit a plugin author tests with: `pytest_plugins = ["gatelodge.testing"]`, and pytest-asyncio in auto mode.

    async def test_weather(open_gatelodge):
        gate = await open_gatelodge(("weather", WeatherPlugin))
        assert (await gate.call("weather.now", city="Oslo"))["city"] == "Oslo"

The plugins of entry points are there without being named; one that is named may be installed too. Everything is real: a
Postgres for each worker (of the extra `embedded`), a database for each test with the plugins' tables, HTTP over sockets.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from .application import Server, open_server
from .errors import ToolError
from .listening import listening
from .plugins import GROUP, Plugins
from .storage import migrations
from .storage.embedded import SUPERUSER, embedded_postgres

TEMPLATE = "migrated"
DEFAULTS = {"MCP_PORT": "0", "MCP_JIRA_PORT": "0", "MCP_SQL_PORT": "0", "GATELODGE_LOCAL_USER": "true"}
"""Ports that are free, and a caller without credentials who may do anything."""


@dataclass(frozen=True, slots=True)
class Gatelodge:
    """A running server. `urls` holds each listener's base URL, `hub` among them."""

    server: Server
    urls: Mapping[str, str]
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.urls["hub"]

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        """The structured result of a tool, called over HTTP. Raises `ToolError` as the server answered it."""
        body = {"name": tool, "arguments": arguments}
        async with self.session.post(f"{self.url}/tools/invoke", json=body) as reply:
            answer = await reply.json()
        if "error" in answer:
            error = answer["error"]
            raise ToolError(
                error["code"],
                error["message"],
                details=error.get("details"),
                retry_after=error.get("retry_after"),
                status=reply.status,
            )
        return answer["result"]


OpenGatelodge = Callable[..., Awaitable[Gatelodge]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Postgres; `dsn` is of the role that owns the server's database."""

    dsn: str
    password: str
    template: str = TEMPLATE

    def database(self, name: str) -> str:
        """The DSN of a database, as its owner."""
        return urlsplit(self.dsn)._replace(path=f"/{name}").geturl()

    def as_superuser(self, name: str) -> str:
        login = f"{SUPERUSER}:{quote(self.password)}@"
        return urlsplit(self.dsn)._replace(netloc=login, path=f"/{name}").geturl()

    async def run(self, *statements: str) -> None:
        """As superuser, each in a transaction of its own."""
        connection = await asyncpg.connect(self.as_superuser("postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def create(self, name: str, template: str) -> None:
        await self.run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {urlsplit(self.dsn).username}")

    @asynccontextmanager
    async def fresh(self, template: str = TEMPLATE) -> AsyncIterator[str]:
        """The DSN of a database of its own, dropped afterwards."""
        name = f"test_{uuid4().hex}"
        await self.create(name, template)
        try:
            yield self.database(name)
        finally:
            await self.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path (for sockets) that any user may enter: under root, Postgres runs as `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(short_folder: Path) -> AsyncIterator[Cluster]:
    """One real Postgres for all tests of a worker, with a migrated database to copy."""
    folder = short_folder / "cluster"
    async with embedded_postgres(folder) as dsn:
        cluster = Cluster(dsn, (folder / "password").read_text())
        await cluster.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        await cluster.create(TEMPLATE, "template0")
        await migrations.up(cluster.database(TEMPLATE))
        yield cluster


@pytest_asyncio.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    """The DSN of a fresh, migrated database, as its owner: no superuser, so row-level security binds it."""
    async with cluster.fresh() as dsn:
        yield dsn


@pytest_asyncio.fixture
async def open_gatelodge(database: str) -> AsyncIterator[OpenGatelodge]:
    """`await open_gatelodge((name, plugin), …, SETTING=value, …)`: a running `Gatelodge` over the test's database."""
    async with AsyncExitStack() as stack:

        async def open_one(*plugins: tuple[str, Any], **settings: str) -> Gatelodge:
            variables = {**DEFAULTS, "DATABASE_URL": database, **settings}
            extra = [pair for pair in plugins if not _is_installed(*pair)]
            await _add_tables(database, extra)
            server = await stack.enter_async_context(open_server(variables, extra_plugins=extra))
            urls = await stack.enter_async_context(listening(server))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Gatelodge(server, urls, session)

        yield open_one


def _is_installed(name: str, plugin: Any) -> bool:
    """Whether it comes by an entry point anyway, as it does where its author has installed the package to be tested."""
    return any(entry.load() is plugin for entry in entry_points(group=GROUP, name=name))


async def _add_tables(database: str, plugins: Sequence[tuple[str, Any]]) -> None:
    """The copied database has the core's tables alone."""
    found = Plugins()
    found.load(plugins)
    if sources := found.migrations():
        await migrations.up(database, [*migrations.CORE, *sources])
