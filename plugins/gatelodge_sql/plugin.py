"""The SQL plugin: each query template is a tool `sql.<name>`, and an entry of `/templates`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, fields
from prometheus_client.registry import Collector

from gatelodge import (
    LOCAL_TENANT,
    READ,
    Call,
    Cursors,
    Environment,
    HealthCheck,
    Prompt,
    Reading,
    Resource,
    Result,
    Route,
    RouteRequest,
    SecretSettings,
    StartupError,
    Storage,
    Tool,
    ToolError,
    hookimpl,
)
from gatelodge.contract import JSON
from gatelodge.schema import json_schema

from .resources import prompts, resources
from .runner import Limits, Runner, prepare
from .settings import SQLSettings
from .source import Source, open_sources
from .template import OWN_SOURCE, Template, load_templates

SHIPPED = Path(__file__).with_name("templates")
PORT = 8056


class _Column(Schema):
    name = fields.String(required=True)
    type = fields.String(required=True, metadata={"description": "A Postgres type."})


class _Page(Schema):
    columns = fields.List(fields.Nested(_Column), required=True)
    rows = fields.List(fields.Dict(keys=fields.String()), required=True, metadata={"description": "Objects by column."})
    row_count = fields.Integer(required=True)
    truncated = fields.Boolean(required=True, metadata={"description": "Whether there are more rows than these."})
    query_time_ms = fields.Float(required=True)
    cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "For the rows after these; null when there are none."}
    )


class _Query(Schema):
    template_name = fields.String(required=True)
    params = fields.Dict(keys=fields.String(), load_default=dict)


class SQLPlugin:
    """Loads the shipped templates and the operator's, and runs them on the sources they name."""

    def __init__(self) -> None:
        self._settings = SQLSettings()
        self._secret = SecretSettings()
        self._templates: dict[str, Template] = {}
        self._sources: Mapping[str, Source] = {}
        self._runner: Runner | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(SQLSettings)
        self._secret = environment.read(SecretSettings)
        folders = [SHIPPED] if self._settings.templates is None else [SHIPPED, self._settings.templates]
        for template in (template for folder in folders for template in load_templates(folder)):
            if template.name in self._templates:
                raise template.error(1, f"there is a template {template.name} already")
            self._templates[template.name] = template

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name=template.tool,
                title=template.title,
                description=template.describe(),
                input=template.schema(),
                output=_Page,
                handler=partial(self._run, template.name),
                annotations=READ,
            )
            for template in self._templates.values()
        ]

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return resources(self._templates, lambda: self._sources[OWN_SOURCE])

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return prompts(lambda: self._sources[OWN_SOURCE])

    @hookimpl
    def gatelodge_routes(self) -> Sequence[Route]:
        return (Route("GET", "/templates", self._list), Route("POST", "/query", self._query))

    @hookimpl
    def gatelodge_port(self) -> int:
        return PORT

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        if storage.embedded and self._settings.demo:
            await fill_demo(storage)
        async with open_sources(storage, dict(self._settings.sources or {})) as sources:
            prepared = await prepare(list(self._templates.values()), sources)
            limits = Limits(self._settings.max_rows, self._settings.max_bytes)
            self._runner = Runner(prepared, Cursors(self._secret.current, "sql"), limits)
            self._sources = sources
            yield

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        help = "Connections that templates use now."
        return (Reading("gatelodge_sql_connections_busy", help, self._busy, "source"),)

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        names = [OWN_SOURCE, *(self._settings.sources or {})]
        advice = "is that database up, and may its role connect and read? psql with its DSN shows it"
        return [
            HealthCheck(f"source {name}", partial(self._check, name), critical=name == OWN_SOURCE, advice=advice)
            for name in names
        ]

    async def _run(self, name: str, call: Call) -> Mapping[str, JSON]:
        if self._runner is None:
            raise StartupError("plugin_broken", "the SQL plugin is not open")
        return await self._runner.run(name, call)

    def _busy(self) -> Mapping[str, float]:
        return {name: source.busy for name, source in self._sources.items()}

    async def _check(self, name: str) -> str:
        return await self._sources[name].check()

    async def _list(self, request: RouteRequest) -> JSON:
        """Every template with the JSON Schema of its parameters."""
        templates = [
            {
                "name": template.name,
                "tool": template.tool,
                "title": template.title,
                "description": template.description,
                "source": template.source,
                "params": json_schema(template.schema()),
            }
            for template in self._templates.values()
            if request.shows(template.tool)
        ]
        return {"templates": templates, "count": len(templates)}

    async def _query(self, request: RouteRequest) -> Result:
        """`{template_name, params}`, the same call as the tool's."""
        body = _load_query(request.body)
        try:
            return await request.invoke(f"sql.{body['template_name']}", body["params"])
        except ToolError as error:  # there is no such tool, which the core has written down
            fields = {"fields": {"template_name": ["Unknown template."]}}
            raise ToolError(error.code, error.message, details=fields) from None


async def fill_demo(storage: Storage) -> None:
    """The local tenant of a laptop finds the story of the sandbox Jira in its tables, told up to today."""
    from . import demo  # only a laptop needs it

    today = datetime.now(UTC).date()
    if await demo.wanted(storage.postgres, LOCAL_TENANT, today):
        await demo.fill(storage.postgres, LOCAL_TENANT, today)


def _load_query(body: Any) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = _Query().load(body)
    except ValidationError as error:
        wrong = {name.replace("_schema", "body"): parts for name, parts in error.messages_dict.items()}
        name, sentences = next(iter(wrong.items()))
        raise ToolError("validation_error", f"{name}: {sentences[0]}", details={"fields": wrong}) from None
    return loaded
