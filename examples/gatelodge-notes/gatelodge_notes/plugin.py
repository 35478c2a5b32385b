"""The plugin `notes`: what it registers, and what it holds while the server runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click
from prometheus_client.registry import Collector

from gatelodge import (
    Environment,
    HealthCheck,
    Notices,
    Prompt,
    Reading,
    Resource,
    Route,
    RouteRequest,
    Storage,
    Tool,
    hookimpl,
)

from .commands import notes
from .notebook import Notebook
from .pages import Pages
from .reading import count_words_tool, find_tool
from .settings import NotesSettings
from .writing import Writing


class NotesPlugin:
    """Named by the entry point `notes` of the group `gatelodge`; made once for each server."""

    def __init__(self) -> None:
        self._settings = NotesSettings()
        self._notebook = Notebook()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(NotesSettings)

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        writing = Writing(self._notebook, self._settings)
        return (find_tool(self._notebook), count_words_tool(self._notebook), *writing.tools())

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return Pages(self._notebook).resources()

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return Pages(self._notebook).prompts()

    @hookimpl
    def gatelodge_migrations(self) -> Sequence[str]:
        return ("package:gatelodge_notes:migrations",)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage, notices: Notices) -> AsyncIterator[None]:
        self._notebook.open(storage.postgres, notices)
        yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        return (HealthCheck("notebook", self._check, critical=False),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (Reading("notes_written_total", "Notes written by this process.", lambda: self._notebook.written),)

    @hookimpl
    def gatelodge_routes(self) -> Sequence[Route]:
        return (Route("GET", "/notes/{topic}", self._page),)

    @hookimpl
    def gatelodge_port(self) -> int:
        return 8057

    @hookimpl
    def gatelodge_commands(self) -> Sequence[click.Command]:
        return (notes,)

    async def _check(self) -> str:
        return f"{await self._notebook.total()} notes of all tenants"

    async def _page(self, request: RouteRequest) -> Any:
        return await request.invoke("notes.find", {"topic": request.path["topic"]})
