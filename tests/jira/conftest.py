"""A running sandbox Jira, every exchange with it held against Atlassian's description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from gatelodge_jira.sandbox import SEED, Sandbox, Story, generate, sandbox

from .openapi_check import OpenAPICheck


@pytest.fixture(scope="session")
def story() -> Story:
    """The demo story up to this morning. It does not change: each sandbox has its own issues of it."""
    return generate(SEED, datetime.now(UTC).date())


@pytest.fixture
async def jira(story: Story) -> AsyncIterator[Sandbox]:
    """A sandbox as in the Cloud, without credentials; a test fails when an exchange does not fit the description."""
    check = OpenAPICheck()
    async with sandbox(story, check=check) as running:
        yield running
    assert check.violations == []


@pytest.fixture
async def datacenter(story: Story) -> AsyncIterator[Sandbox]:
    """A sandbox as a Data Center, without credentials."""
    async with sandbox(story, flavour="datacenter") as running:
        yield running
