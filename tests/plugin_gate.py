"""The way to one plugin's tools without a server around it: validated, within a deadline, the result checked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gatelodge import LOCAL_TENANT, Call, Middleware, Phase, Principal, Result, ToolError
from gatelodge.dispatch import Dispatch, compile_tool
from gatelodge.middleware.deadline import within_deadline
from gatelodge.middleware.validation import validate


class PluginGate:
    """Calls the tools that a plugin registers, as the core would."""

    def __init__(self, owner: str, plugin: Any) -> None:
        self.plugin = plugin
        self._owner = owner
        self._tools = {tool.name: compile_tool(owner, tool) for tool in plugin.gatelodge_tools()}
        self._dispatch = Dispatch(
            [
                Middleware("validation", Phase.VALIDATION, validate),
                Middleware("deadline", Phase.DEADLINE, within_deadline),
            ]
        )

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        tenant: UUID = LOCAL_TENANT,
        timeout: float = 30.0,
        key: str | None = None,
    ) -> Result:
        """What comes back of the tool, error or not; `key` is an idempotency key."""
        return await self._dispatch(self._call(name, arguments, tenant, timeout, key))

    async def reconcile(self, name: str, arguments: Mapping[str, Any], *, key: str) -> Result | None:
        """What the tool finds of an earlier call with this idempotency key."""
        tool = self._tools[name]
        assert tool.tool.reconcile is not None
        return await tool.tool.reconcile(self._call(name, tool.load(arguments), LOCAL_TENANT, 30.0, key))

    def _call(self, name: str, arguments: Mapping[str, Any], tenant: UUID, timeout: float, key: str | None) -> Call:
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError("not_found", f"There is no tool {name!r}")
        return Call(
            kind="tool",
            name=name,
            target=tool,
            owner=self._owner,
            arguments=arguments,
            principal=Principal(tenant=tenant, user="someone", method="test"),
            request_id="test",
            door="test",
            deadline=asyncio.get_running_loop().time() + timeout,
            read_only=tool.tool.annotations.read_only,
            idempotency_key=key,
        )

    async def answer(self, name: str, *, tenant: UUID = LOCAL_TENANT, **arguments: Any) -> dict[str, Any]:
        """The structured result; an error is raised."""
        result = await self.call(name, arguments, tenant=tenant)
        if result.error is not None:
            raise result.error
        structured: dict[str, Any] = result.structured
        return structured
