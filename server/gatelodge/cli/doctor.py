"""`gatelodge doctor`: open everything a server would, run every health check, and say what is wrong."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from ..application import open_server
from ..transports.health import check_states


@click.command()
def doctor() -> None:
    """Check settings, storage, plugins and upstreams. Exit status 1 when something critical fails."""
    sys.exit(asyncio.run(_doctor()))


async def _doctor() -> int:
    async with open_server(os.environ, join=True) as server:
        click.echo(f"ok      settings, storage and {len(server.catalogue.plugins)} plugins")
        states = await check_states(server.catalogue.health)
        for state in states:
            click.echo(f"{state['status']:<7} {state['plugin']}: {state['name']} ({state['detail']})")
        for broken in server.catalogue.broken:
            click.echo(f"failed  plugin {broken.name}: {broken.reason}")
        return int(any(s["status"] == "failed" and s["critical"] for s in states) or bool(server.catalogue.broken))
