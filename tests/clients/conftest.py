"""A server over a sandbox Jira and a filled Postgres, and Node's packages for the official TypeScript client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge
from gatelodge_jira.sandbox.server import Sandbox, sandbox
from gatelodge_jira.sandbox.story import Story

from ..jira.openapi_check import OpenAPICheck
from ..npm import installed

PACKAGE = Path(__file__).with_name("package.json")


@dataclass(frozen=True, slots=True)
class World:
    """What a client's calls are compared with."""

    gate: Gatelodge
    jira: Sandbox
    story: Story
    pool: asyncpg.Pool
    settings: dict[str, str]

    @property
    def stdio(self) -> tuple[str, list[str], dict[str, str]]:
        """Command, arguments and environment of a server on stdio over the same Jira and Postgres."""
        return sys.executable, ["-m", "gatelodge", "stdio"], self.settings


@pytest.fixture
def database(told_database: str) -> str:
    return told_database


@pytest.fixture
async def world(open_gatelodge: OpenGatelodge, database: str, story: Story) -> AsyncIterator[World]:
    """A running server; every request to its Jira and every answer is checked against Atlassian's description."""
    check = OpenAPICheck()
    async with sandbox(story, check=check) as jira, _pool(database) as pool:
        settings = {"DATABASE_URL": database, "JIRA_URL": jira.url, "GATELODGE_LOCAL_USER": "true"}
        yield World(await open_gatelodge(JIRA_URL=jira.url), jira, story, pool, settings)
    assert check.violations == []


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
