"""The Jira plugin: eight tools over the instances a tenant has, or over the sandbox when there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import click

from gatelodge import (
    Call,
    Cursors,
    Environment,
    HealthCheck,
    Prompt,
    Resource,
    SecretSettings,
    StartupError,
    Storage,
    Tool,
    hookimpl,
)

from .api import JiraAPI
from .commands import jira
from .credentials import Vault
from .instance import Instance
from .instances import Instances
from .prompts import prompts
from .resources import resources
from .settings import JiraSettings
from .tools import (
    add_comment,
    create_issue,
    get_issue,
    link_issues,
    list_transitions,
    search,
    transition_issue,
    update_issue,
)

PORT = 8055


class JiraPlugin:
    """Opens the instances for the time the server runs."""

    def __init__(self) -> None:
        self._settings = JiraSettings()
        self._secret = SecretSettings()
        self._instances: Instances | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(JiraSettings)
        self._secret = environment.read(SecretSettings)
        self._settings.instance()

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        cursors = Cursors(self._secret.current, "jira")
        tools = (
            search.tool(self, cursors),
            get_issue.tool(self),
            create_issue.tool(self),
            update_issue.tool(self),
            transition_issue.tool(self),
            add_comment.tool(self),
            link_issues.tool(self),
            list_transitions.tool(self),
        )
        return tuple(replace(tool, instances=self._meant) for tool in tools)

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return tuple(replace(item, instances=self._meant) for item in resources(self))

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return prompts(self)

    @hookimpl
    def gatelodge_port(self) -> int:
        return PORT

    @hookimpl
    def gatelodge_commands(self) -> Sequence[click.Command]:
        return (jira,)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            shared = self._settings.instance()
            if shared is None and self._settings.sandbox:
                shared = await stack.enter_async_context(sandbox_instance())
            self._instances = Instances(storage.postgres, Vault(self._secret.keys), shared, storage.trace_configs)
            stack.push_async_callback(self._instances.close)
            yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = 'is JIRA_URL up, and its token still good? curl -sS "$JIRA_URL" shows the first'
        return (HealthCheck("jira", self._check, critical=False, advice=advice),)

    async def find(self, call: Call, project: str | None = None) -> JiraAPI:
        """See `Instances.find`."""
        return await self._open.find(call, project)

    async def _meant(self, call: Call) -> Sequence[str]:
        return await self._open.meant(call)

    async def _check(self) -> str:
        shared = self._open.shared
        if shared is None:
            return "instances of the tenants only"
        user = await (await self._open.api(shared)).check()
        return "sandbox with demo data" if shared.sandbox else f"signed in as {user}"

    @property
    def _open(self) -> Instances:
        if self._instances is None:
            raise StartupError("plugin_broken", "the Jira plugin is not open")
        return self._instances


@asynccontextmanager
async def sandbox_instance() -> AsyncIterator[Instance]:
    """The sandbox on a free port of loopback, with the story as of today."""
    from .sandbox.server import sandbox  # only who has no Jira needs it
    from .sandbox.story import INSTANCE, SEED, generate

    story = generate(SEED, datetime.now(UTC).date())
    async with sandbox(story) as server:
        yield Instance(id=INSTANCE, url=server.url, site=server.url, flavour="cloud", sandbox=True)
