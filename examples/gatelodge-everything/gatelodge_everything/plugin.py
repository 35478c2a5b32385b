"""The plugin: what it registers, and the one thing it keeps, the way to tell clients of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gatelodge import Call, Notices, Prompt, Resource, Result, Text, Tool, hookimpl

from . import content, prompts, questions, resources, tasks
from .tools import tool


class EverythingPlugin:
    """Registered by the entry point `everything`."""

    def __init__(self) -> None:
        self._notices: Notices | None = None

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        changes = (
            tool("test_trigger_tool_change", "Says that the list of tools has changed.", self.change_tools),
            tool("test_trigger_prompt_change", "Says that the list of prompts has changed.", self.change_prompts),
            tool("test_update_resource", "Says that test://watched-resource has changed.", self.change_resource),
        )
        return (*content.TOOLS, *questions.TOOLS, *tasks.TOOLS, *changes)

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return resources.RESOURCES

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return prompts.PROMPTS

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, notices: Notices) -> AsyncIterator[None]:
        self._notices = notices
        yield
        self._notices = None

    async def change_tools(self, call: Call) -> Result:
        assert self._notices is not None
        self._notices.tools_changed()
        return Result(content=(Text("The list of tools has changed."),))

    async def change_prompts(self, call: Call) -> Result:
        assert self._notices is not None
        self._notices.prompts_changed()
        return Result(content=(Text("The list of prompts has changed."),))

    async def change_resource(self, call: Call) -> Result:
        assert self._notices is not None
        self._notices.resource_updated("test://watched-resource")
        return Result(content=(Text("test://watched-resource has changed."),))
