"""`gatelodge stdio`: serve one client on stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from ..application import open_server
from ..transports.stdio import Stdio, standard_input


@click.command()
def stdio() -> None:
    """Serve one MCP client on stdin and stdout, as its subprocess."""
    asyncio.run(_stdio())


async def _stdio() -> None:
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints must not get between the messages
    async with open_server(os.environ) as server:
        await Stdio(server.protocol(server.hub), server.policy, output).serve(await standard_input())
