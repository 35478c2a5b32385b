"""`gatelodge tools`: list tools, or call one, through the same dispatch as every door."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import click
import msgspec

from ..application import open_server
from ..errors import ToolError, describe
from ..toolset import Origin
from ..transports.gate import identify_pipe


@click.group()
def tools() -> None:
    """List tools, or call one as the local user."""


@tools.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print names, titles and input schemas as JSON.")
def list_tools(as_json: bool) -> None:
    """List every tool with its title."""
    asyncio.run(_list(as_json))


@tools.command()
@click.argument("name")
@click.argument("arguments", default="{}")
def call(name: str, arguments: str) -> None:
    """Call tool NAME with ARGUMENTS, a JSON object. Exit status 1 when the tool fails."""
    try:
        parsed = json.loads(arguments)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="ARGUMENTS") from None
    if not isinstance(parsed, dict):
        raise click.BadParameter("must be a JSON object", param_hint="ARGUMENTS")
    sys.exit(asyncio.run(_call(name, parsed)))


async def _list(as_json: bool) -> None:
    async with open_server(os.environ) as server:
        found = server.hub.tools.values()
        if as_json:
            click.echo(
                json.dumps([{"name": t.tool.name, "title": t.tool.title, "inputSchema": t.input_schema} for t in found])
            )
            return
        for compiled in found:
            click.echo(f"{compiled.tool.name:<32} {compiled.tool.title}")


async def _call(name: str, arguments: dict[str, Any]) -> int:
    async with open_server(os.environ) as server:
        origin = Origin(principal=await identify_pipe(server.policy), door="cli")
        try:
            result = await server.hub.call_tool(name, arguments, origin)
        except ToolError as error:
            click.echo(_pretty({"error": describe(error, origin.request_id)}), err=True)
            return 1
        if result.error is not None:
            click.echo(_pretty({"error": describe(result.error, origin.request_id)}), err=True)
            return 1
        click.echo(_pretty(result.structured))
        return 0


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
