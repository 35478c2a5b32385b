"""`gatelodge serve`: bind every listener, say where, and serve until a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import click

from ..application import Server, open_server
from ..listening import listening


@click.command()
@click.option("--quiet", is_flag=True, help="Print one JSON line with the addresses instead of the banner.")
def serve(quiet: bool) -> None:
    """Serve MCP over HTTP until SIGINT or SIGTERM."""
    asyncio.run(_serve(quiet))


async def _serve(quiet: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with open_server(os.environ) as server, listening(server) as addresses:
        click.echo(json.dumps({"listening": addresses}) if quiet else _banner(server, addresses))
        await stopped.wait()


def _banner(server: Server, addresses: dict[str, str]) -> str:
    lines = [f"{name:>8}  {url}/mcp" for name, url in addresses.items()]
    client = {"mcpServers": {"gatelodge": {"type": "http", "url": f"{addresses['hub']}/mcp"}}}
    notes = [f"  left out: {broken.name} ({broken.reason})" for broken in server.catalogue.broken]
    identity = "Callers without credentials on this machine are the local user of the local tenant."
    parts = [
        "Gatelodge is listening:",
        *lines,
        *notes,
        f"{len(server.hub.tools)} tools. {identity}",
        "Paste into a client's configuration:",
        json.dumps(client, indent=2),
        "Stop with Ctrl+C.",
    ]
    return "\n".join(parts)
