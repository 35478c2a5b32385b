"""`gatelodge serve`: bind every listener, say where, and serve until a signal."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from contextlib import AsyncExitStack

import click
from aiohttp import web

from ..application import Listener, Server, open_server
from ..errors import StartupError

SHUTDOWN_TIMEOUT = 10.0


@click.command()
@click.option("--quiet", is_flag=True, help="Print one JSON line with the addresses instead of the banner.")
def serve(quiet: bool) -> None:
    """Serve MCP over HTTP until SIGINT or SIGTERM."""
    asyncio.run(_serve(quiet))


async def _serve(quiet: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(os.environ))
        addresses = {listener.name: await _bind(stack, listener, server.settings.host) for listener in server.listeners}
        click.echo(json.dumps({"listening": addresses}) if quiet else _banner(server, addresses))
        await stopped.wait()


async def _bind(stack: AsyncExitStack, listener: Listener, host: str) -> str:
    """Listen, and answer the base URL. Raises `StartupError` for a port that is taken."""
    runner = web.AppRunner(listener.app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, listener.port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            name = "MCP_PORT" if listener.name == "hub" else f"MCP_{listener.name.upper()}_PORT"
            raise StartupError("port_taken", f"port {listener.port} is in use; set {name} to another") from None
        raise StartupError("port_taken", f"cannot listen on {host}:{listener.port}: {error.strerror}") from None
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{runner.addresses[0][1]}"


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
