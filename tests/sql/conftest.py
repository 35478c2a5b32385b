"""A SQL plugin over a real Postgres, called as the core calls it: validated, within a deadline, its result checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gatelodge import LOCAL_TENANT, Environment, Principal, Result, RouteRequest, Storage
from gatelodge.storage.postgres import create_pool
from gatelodge_sql.plugin import SQLPlugin

from ..plugin_gate import PluginGate


class Gate(PluginGate):
    """The way to one SQL plugin's tools and routes."""

    def __init__(self, plugin: SQLPlugin) -> None:
        super().__init__("sql", plugin)
        self._routes = {route.path: route.handler for route in plugin.gatelodge_routes()}

    async def page(self, name: str, *, tenant: UUID = LOCAL_TENANT, **arguments: Any) -> dict[str, Any]:
        """The page that template `name` answers; an error is raised."""
        return await self.answer(f"sql.{name}", tenant=tenant, **arguments)

    async def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """The rows of every page, following the cursor to the end."""
        page = await self.page(name, **arguments)
        rows = list(page["rows"])
        while page["truncated"]:
            page = await self.page(name, **arguments, cursor=page["cursor"])
            rows += page["rows"]
        return rows

    async def ask(self, path: str, body: Any = None, tenant: UUID = LOCAL_TENANT) -> Any:
        """What the plain route answers."""

        async def invoke(name: str, arguments: Mapping[str, Any]) -> Result:
            return await self.call(name, arguments, tenant=tenant)

        principal = Principal(tenant=tenant, user="someone", method="test")
        return await self._routes[path](
            RouteRequest(path={}, query={}, body=body, principal=principal, invoke=invoke, shows=lambda name: True)
        )


OpenGate = Callable[..., Awaitable[Gate]]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """The server's own pool, as its owner."""
    pool = await create_pool(database)
    yield pool
    await pool.close()


@pytest.fixture
async def open_gate(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[OpenGate]:
    """`await open_gate(NAME=value, templates={name: text})` opens a plugin with these settings and templates."""
    async with AsyncExitStack() as stack:

        async def open_one(templates: Mapping[str, str] | None = None, **settings: str) -> Gate:
            for name, text in (templates or {}).items():
                (tmp_path / f"{name}.sql").write_text(text)
            plugin = SQLPlugin()
            plugin.gatelodge_configure(Environment({"GATELODGE_SQL_TEMPLATES": str(tmp_path), **settings}))
            await stack.enter_async_context(plugin.gatelodge_lifespan(storage=Storage(pool)))
            return Gate(plugin)

        yield open_one


@pytest.fixture
async def gate(open_gate: OpenGate) -> Gate:
    """A plugin with the shipped templates alone."""
    return await open_gate()
