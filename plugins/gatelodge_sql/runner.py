"""Runs a template: one page of rows out of a read-only transaction, capped while it streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from gatelodge import Call, Cursors, ToolError, telling
from gatelodge.storage import StorageError
from gatelodge.storage.postgres import observed

from .failure import as_tool_error
from .source import Source
from .template import CURSOR, PAGE, Template

if TYPE_CHECKING:
    from asyncpg.types import Attribute

    from gatelodge.storage.postgres import Connection

BATCH = 100
"""Rows fetched at once: most pages are one batch, and no more than this can go over the cap unseen."""
START_TIMEOUT = 10.0
NOBODY = UUID(int=0)
JSON_TYPES = """
    bool int2 int4 int8 float4 float8 numeric text varchar bpchar char name uuid date time timetz timestamp timestamptz
    interval json jsonb bytea
"""
TYPES = frozenset(JSON_TYPES.split())
"""Types of pg_catalog that have a JSON form; an enum is a string, and arrays of these do too."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A template that Postgres has accepted, and the columns it answers."""

    template: Template
    source: Source
    columns: tuple[Mapping[str, str], ...]
    numeric: tuple[str, ...]


async def prepare(templates: Sequence[Template], sources: Mapping[str, Source]) -> dict[str, Prepared]:
    """Let Postgres check every template, by name. Raises `StartupError` with file and line."""
    prepared = {}
    for template in templates:
        source = sources.get(template.source)
        if source is None:
            raise template.error(1, f"source {template.source} is not one of {', '.join(sources)}")
        prepared[template.name] = await _prepare(template, source)
    return prepared


async def _prepare(template: Template, source: Source) -> Prepared:
    try:
        async with source.reading(NOBODY, START_TIMEOUT) as connection:
            statement = await connection.prepare(template.sql)
            attributes = statement.get_attributes()
            # Only planning it for execution finds a table that the role may not read.
            await connection.fetch(f"EXPLAIN {template.sql}", *[None] * len(template.parameters), 1, 0)
    except asyncpg.PostgresError as error:
        position = getattr(error, "position", None)
        line = template.line_of(int(position)) if position else template.first_line
        raise template.error(line, f"Postgres refuses it: {error}") from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise StorageError(f"source {source.name} cannot be used: {error}") from None
    _check_columns(template, attributes)
    columns = tuple({"name": item.name, "type": item.type.name} for item in attributes)
    numeric = tuple(item.name for item in attributes if item.type.name in ("numeric", "numeric[]"))
    return Prepared(template, source, columns, numeric)


def _check_columns(template: Template, attributes: Sequence[Attribute]) -> None:
    names = [item.name for item in attributes]
    for item in attributes:
        if names.count(item.name) > 1:
            raise template.error(template.first_line, f"two columns are named {item.name}")
        known = item.type.name.removesuffix("[]") in TYPES or item.type.schema != "pg_catalog"
        if item.type.kind not in ("scalar", "array") or not known:
            raise template.error(
                template.first_line,
                f"column {item.name} is of type {item.type.name}; cast it to text or another JSON type",
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows and bytes of JSON that one page may hold."""

    rows: int
    bytes: int


class Runner:
    """Answers calls of prepared templates."""

    def __init__(self, prepared: Mapping[str, Prepared], cursors: Cursors, limits: Limits) -> None:
        self._prepared = prepared
        self._cursors = cursors
        self._limits = limits

    async def run(self, name: str, call: Call) -> dict[str, Any]:
        """One page. Raises `ToolError`."""
        prepared = self._prepared[name]
        template, tenant = prepared.template, call.principal.tenant
        arguments = {key: value for key, value in call.arguments.items() if key != CURSOR}
        given = call.arguments.get(CURSOR)
        offset = 0 if given is None else self._cursors.read(tenant, [template.digest, arguments], given)
        started = time.perf_counter()
        try:
            rows, truncated = await self._page(prepared, call, arguments, offset)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise as_tool_error(error, template) from error
        elapsed = time.perf_counter() - started
        cursor = None
        if truncated and template.ordered:
            cursor = self._cursors.sign(tenant, [template.digest, arguments], offset + len(rows))
        return {
            "columns": prepared.columns,
            "rows": rows,
            "row_count": len(rows),
            "truncated": truncated,
            "query_time_ms": round(elapsed * 1000, 1),
            "cursor": cursor,
        }

    async def _page(
        self, prepared: Prepared, call: Call, arguments: Mapping[str, Any], offset: int
    ) -> tuple[list[dict[str, Any]], bool]:
        template = prepared.template
        timeout = call.deadline - asyncio.get_running_loop().time()
        size = min(arguments.get(PAGE, self._limits.rows), self._limits.rows)
        values = [arguments.get(parameter.name) for parameter in template.parameters]
        rows: list[dict[str, Any]] = []
        async with (
            telling(call, lambda: f"{template.name} is still running, {len(rows)} rows so far"),
            prepared.source.reading(call.principal.tenant, timeout) as connection,
        ):
            with observed(prepared.source.observers, template.sql):
                truncated = await self._stream(connection, prepared, [*values, size + 1, offset], size, rows)
        return rows, truncated

    async def _stream(
        self, connection: Connection, prepared: Prepared, values: list[Any], size: int, rows: list[dict[str, Any]]
    ) -> bool:
        """Take rows up to the page's size or the byte cap; whether there are more."""
        left = self._limits.bytes
        cursor = await connection.cursor(prepared.template.sql, *values)
        while records := await cursor.fetch(BATCH):
            for record in records:
                row = dict(record)
                for name in prepared.numeric:
                    row[name] = _number(row[name])
                left -= len(msgspec.json.encode(row)) + 1
                if left < 0 and not rows:
                    raise ToolError(
                        "upstream_5xx", f"A row of {prepared.template.name} is larger than GATELODGE_SQL_MAX_BYTES"
                    )
                if left < 0 or len(rows) == size:
                    return True
                rows.append(row)
        return False


def _number(value: Decimal | list[Any] | None) -> Any:
    """A numeric as a JSON number, which holds about 15 digits; a template that needs more casts to text."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    return None if value is None else float(value)
