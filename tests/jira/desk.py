"""The Jira plugin over a sandbox and a real Postgres, called as the core calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gatelodge import Environment, Storage
from gatelodge.storage.postgres import create_pool
from gatelodge_jira.plugin import JiraPlugin

from ..plugin_gate import PluginGate


@asynccontextmanager
async def desk(database: str, **settings: str) -> AsyncIterator[PluginGate]:
    """A Jira plugin with these settings, open."""
    pool = await create_pool(database)
    try:
        plugin = JiraPlugin()
        plugin.gatelodge_configure(Environment(settings))
        async with plugin.gatelodge_lifespan(storage=Storage(pool)):
            yield PluginGate("jira", plugin)
    finally:
        await pool.close()


def sent(jira: Any, method: str) -> list[Any]:
    """What the sandbox was asked by this method, in order."""
    return [request for request in jira.requests if request.method == method]
