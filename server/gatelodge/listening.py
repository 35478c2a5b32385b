"""Bind every listener of an open server for as long as it serves."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from .application import Listener, Server
from .errors import StartupError

SHUTDOWN_TIMEOUT = 10.0
"""Seconds that running requests get to finish."""


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[dict[str, str]]:
    """The base URL of each listener, by its name. Raises `StartupError` for a port that is taken."""
    async with AsyncExitStack() as stack:
        host = server.settings.host
        yield {listener.name: await _bind(stack, listener, host) for listener in server.listeners}


async def _bind(stack: AsyncExitStack, listener: Listener, host: str) -> str:
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
