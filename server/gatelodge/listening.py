"""Bind every listener of an open server for as long as it serves."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from socket import socket
from typing import Any

from aiohttp import web

from .application import Server
from .assembly import Listener
from .errors import StartupError

CANCEL_TIMEOUT = 2.0
"""Seconds, twice, that requests get which outlasted the drain: to finish, and to clean up once they are cancelled."""


RUNNER: dict[str, Any] = {"handler_cancellation": True, "access_log": None, "shutdown_timeout": CANCEL_TIMEOUT}
"""How an application of ours wants to be run, whoever runs it."""


@asynccontextmanager
async def listening(server: Server, inherited: Mapping[str, socket] | None = None) -> AsyncIterator[dict[str, str]]:
    """The base URL of each listener, by its name; at the end calls under way are answered, within the drain's bound.

    `inherited` are sockets that listen already, by the name of their listener. Raises `StartupError` for a port that is
    taken.
    """
    runners: list[web.AppRunner] = []
    try:
        urls = {}
        for listener in server.listeners:
            runners.append(await _runner(server, listener))
            urls[listener.name] = await _bind(server, listener, runners[-1], (inherited or {}).get(listener.name))
        yield urls
    finally:
        await _close(server, runners)


async def _runner(server: Server, listener: Listener) -> web.AppRunner:
    runner = web.AppRunner(listener.app, **RUNNER)
    await runner.setup()
    return runner


async def _bind(server: Server, listener: Listener, runner: web.AppRunner, inherited: socket | None) -> str:
    host = server.settings.host
    tls = server.certificates.context if server.certificates else None
    site: web.BaseSite
    if inherited is not None:
        site = web.SockSite(runner, inherited, ssl_context=tls)
    else:
        site = web.TCPSite(runner, host, listener.port, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        raise port_taken(listener.name, host, listener.port, error) from None
    return base_url(host, runner.addresses[0][1], tls=tls is not None)


def base_url(host: str, port: int, *, tls: bool) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def port_taken(listener: str, host: str, port: int, error: OSError) -> StartupError:
    """The error of a socket that could not be bound, as one line that says what to change."""
    if error.errno == errno.EADDRINUSE:
        name = "MCP_PORT" if listener == "hub" else f"MCP_{listener.upper()}_PORT"
        return StartupError("port_taken", f"port {port} is in use; set {name} to another")
    return StartupError("port_taken", f"cannot listen on {host}:{port}: {error.strerror}")


async def drain(server: Server, runners: Sequence[web.AppRunner]) -> None:
    """Take no more connections, and let the calls under way finish, within the drain's bound."""
    server.draining.begin()
    await asyncio.gather(*(site.stop() for runner in runners for site in runner.sites))
    await server.draining.leave()
    await server.draining.quiet(server.processes.drain_timeout)


async def _close(server: Server, runners: Sequence[web.AppRunner]) -> None:
    """The calls are answered first, and only then the streams end that they are answered on."""
    await drain(server, runners)
    await asyncio.gather(*(runner.cleanup() for runner in runners))
