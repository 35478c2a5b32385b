"""A server over a sandbox Jira and a filled Postgres, and Node's packages for the official TypeScript client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge
from gatelodge_jira.sandbox.server import Sandbox, sandbox
from gatelodge_jira.sandbox.story import Story

from ..jira.openapi_check import OpenAPICheck
from ..npm import installed
from ..protocol.recording import Recording

PACKAGE = Path(__file__).with_name("package.json")


@dataclass(frozen=True, slots=True)
class World:
    """What a client's calls are compared with. What clients and server say to each other is recorded and checked."""

    gate: Gatelodge
    jira: Sandbox
    story: Story
    pool: asyncpg.Pool
    settings: dict[str, str]
    recording: Recording

    @property
    def stdio(self) -> tuple[str, list[str], dict[str, str]]:
        """Command, arguments and environment of a server on stdio over the same Jira and Postgres."""
        command, *args = self.recording.tapped(sys.executable, "-m", "gatelodge", "stdio")
        return command, args, self.settings


@pytest.fixture
def database(told_database: str) -> str:
    return told_database


@pytest.fixture
async def world(
    open_gatelodge: OpenGatelodge, database: str, story: Story, recording: Recording
) -> AsyncIterator[World]:
    """A running server; every request to its Jira and every answer is checked against Atlassian's description."""
    check = OpenAPICheck()
    async with sandbox(story, check=check) as jira, _pool(database) as pool:
        settings = {"DATABASE_URL": database, "JIRA_URL": jira.url, "GATELODGE_LOCAL_USER": "true"}
        async with listened_to(await open_gatelodge(JIRA_URL=jira.url), recording) as gate:
            yield World(gate, jira, story, pool, settings, recording)
    assert check.violations == []


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    """Every message that passes it is checked by the schema of its revision."""
    folder = tmp_path / "pipes"
    folder.mkdir()
    recording = Recording(folder)
    yield recording
    transcript = recording.finish()
    assert transcript.violations == []
    assert transcript.counted


@asynccontextmanager
async def listened_to(gate: Gatelodge, recording: Recording) -> AsyncIterator[Gatelodge]:
    """The same server, behind a recording proxy for each listener."""
    async with AsyncExitStack() as stack:
        urls = {name: await stack.enter_async_context(recording.proxied(url)) for name, url in gate.urls.items()}
        yield replace(gate, urls=urls)


@asynccontextmanager
async def _pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(database)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(scope="session")
def node_packages() -> Path:
    return installed(PACKAGE)
