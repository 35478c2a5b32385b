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
from ..identity.pins import PinStore
from ..toolset import Origin
from ..transports.gate import open_pipe
from .database import on_database, operator


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


@tools.command()
def pending() -> None:
    """List tools whose definition changed and waits for approval, with what changed."""
    for item in asyncio.run(on_database(lambda storage, _: PinStore(storage.postgres).pending())):
        click.echo(f"{item.name}: {', '.join(item.changed)}")
        for member in item.changed:
            before = (item.approved or {}).get(member)
            click.echo(f"  - {_compact(before)}\n  + {_compact(item.definition.get(member))}")


@tools.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Approve all that waits.")
def approve(names: tuple[str, ...], everything: bool) -> None:
    """Let changed tools be listed and called again, as they are now."""
    if bool(names) == everything:
        raise click.UsageError("name the tools to approve, or say --all")
    wanted = None if everything else names
    approved = asyncio.run(on_database(lambda storage, _: PinStore(storage.postgres).approve(wanted, by=operator())))
    for name in sorted(set(names) - set(approved)):
        click.echo(f"nothing waits for approval under {name}", err=True)
    for name in approved:
        click.echo(f"approved {name}")


async def _list(as_json: bool) -> None:
    async with open_server(os.environ, join=True) as server:
        found = server.hub.tools.values()
        if as_json:
            click.echo(
                json.dumps([{"name": t.tool.name, "title": t.tool.title, "inputSchema": t.input_schema} for t in found])
            )
            return
        for compiled in found:
            click.echo(f"{compiled.tool.name:<32} {compiled.tool.title}")


async def _call(name: str, arguments: dict[str, Any]) -> int:
    async with open_server(os.environ, join=True) as server:
        origin = Origin(principal=await open_pipe(server.policy), door="cli")
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


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
