"""A running sandbox Jira, every exchange with it held against Atlassian's description."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gatelodge_jira.sandbox import Sandbox, Story, sandbox

from .openapi_check import OpenAPICheck


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
