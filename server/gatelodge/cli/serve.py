"""`gatelodge serve`: bind every listener, say where, and serve until a signal.

SIGTERM and SIGINT drain; a second one ends the process at once. SIGHUP reads the certificate's files again, or with several
workers replaces each by a new process. Live settings need neither: every process follows them. Settings from the
environment are a process's for its life, and whoever started it (a shell, systemd's EnvironmentFile) hands a new environment
only to a new process: restart for those.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import click

from ..application import Server, ServerSettings, open_server
from ..listening import CANCEL_TIMEOUT, base_url, listening
from ..metrics.siblings import meeting_place
from ..middleware.local import METHOD as LOCAL_USER
from ..processes.inherited import Sockets, bound, taken_over
from ..processes.settings import ProcessSettings
from ..processes.systemd import Notifier
from ..processes.workers import Workers
from ..settings import Environment
from ..storage.opening import StorageSettings
from ..transports.health import check_states

FLUSH = 15.0
"""Seconds, beyond the drain itself, that a worker may take to write its audit and close what it has open."""


@click.command()
@click.option("--quiet", is_flag=True, help="Print one JSON line with the addresses instead of the banner.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes to serve with; GATELODGE_WORKERS by default.")
@click.option("--inherit", multiple=True, hidden=True, help="A listening socket that this process was given.")
@click.option("--siblings", type=click.Path(path_type=Path), hidden=True, help="Where its fellow workers are found.")
def serve(quiet: bool, workers: int | None, inherit: tuple[str, ...], siblings: Path | None) -> None:
    """Serve MCP over HTTP until SIGINT or SIGTERM.

    SIGHUP reads the TLS certificate again, and with several workers replaces them one by one. What `gatelodge settings set`
    changes is followed without a signal; environment variables (an EnvironmentFile too) are read at the start alone, so they
    need a restart.
    """
    environment = Environment(os.environ)
    settings = environment.read(ProcessSettings)
    count = 1 if inherit else workers or settings.workers
    if count == 1:
        _run(_serve(quiet, taken_over(inherit), siblings), settings)
        return
    storage = environment.read(StorageSettings)
    settings.refuse_unshared(workers=count, database=not storage.embedded, redis=storage.redis_url is not None)
    with bound(os.environ) as sockets, meeting_place() as folder:
        _run(_supervise(quiet, sockets, folder, count, settings), settings)


def _run(serving: Coroutine[Any, Any, None], settings: ProcessSettings) -> None:
    with asyncio.Runner(loop_factory=settings.loop_factory) as runner:
        runner.run(serving)


async def _serve(quiet: bool, inherited: Sockets, siblings: Path | None) -> None:
    notifier, stopped = Notifier(), _until_signal()
    async with open_server(os.environ, siblings=siblings) as server, listening(server, inherited) as addresses:
        _on(signal.SIGHUP, lambda: _reload(server, notifier))
        click.echo(json.dumps({"listening": addresses}) if quiet else await _banner(server, addresses))
        async with notifier.watched():
            notifier.ready()
            await stopped.wait()
            notifier.stopping()
            server.draining.begin()
            await asyncio.sleep(server.processes.drain_delay)


async def _supervise(quiet: bool, sockets: Sockets, siblings: Path, count: int, settings: ProcessSettings) -> None:
    notifier, replace = Notifier(), asyncio.Event()
    stopped = _until_signal()
    _on(signal.SIGHUP, replace.set)
    longest = settings.drain_delay + settings.drain_timeout + 2 * CANCEL_TIMEOUT + FLUSH
    workers = Workers(sockets, siblings, count, bound=longest)
    await workers.start()
    addresses = _addresses(sockets, settings)
    click.echo(json.dumps({"listening": addresses}) if quiet else _lines(addresses, f"{count} workers serve."))
    async with notifier.watched():
        notifier.ready()
        await workers.keep(stopped, replace)
        notifier.stopping()
        await workers.stop()


def _until_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second then does what it does to any process."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped


def _on(number: signal.Signals, action: Callable[[], None]) -> None:
    asyncio.get_running_loop().add_signal_handler(number, action)


def _reload(server: Server, notifier: Notifier) -> None:
    """Take the certificate's files as they are now. Live settings need no signal: they are followed."""
    notifier.reloading()
    if server.certificates is not None:
        server.certificates.reload()
    notifier.ready()


def _addresses(sockets: Sockets, settings: ProcessSettings) -> dict[str, str]:
    host = Environment(os.environ).read(ServerSettings).host
    tls = settings.certificate is not None
    return {name: base_url(host, each.getsockname()[1], tls=tls) for name, each in sockets.items()}


async def _banner(server: Server, addresses: dict[str, str]) -> str:
    """Where, what for and who may; behind a plugin's listener stands what its own health check says."""
    states = await check_states(server.catalogue.health)
    notes = [f"  left out: {broken.name} ({broken.reason})" for broken in server.catalogue.broken]
    notes += [f"  failed: {state['name']} ({state['detail']})" for state in states if state["status"] == "failed"]
    said = {state["plugin"]: f"; {state['detail']}" for state in states if state["status"] == "ok"}
    about = {each.name: f"{len(each.toolset.tools)} tools{said.get(each.name, '')}" for each in server.listeners}
    return _lines(addresses, *notes, _identity(server), about=about)


def _identity(server: Server) -> str:
    methods = [item.name for item in server.catalogue.authenticators]
    if LOCAL_USER in methods:
        return "Callers without credentials on this machine are the local user of the local tenant, who may do all."
    return f"Callers have to sign in ({', '.join(methods)})."


def _lines(addresses: dict[str, str], *notes: str, about: Mapping[str, str] | None = None) -> str:
    about, width = about or {}, max(map(len, addresses.values()))
    client = {"mcpServers": {"gatelodge": {"type": "http", "url": f"{addresses['hub']}/mcp"}}}
    parts = [
        "Gatelodge is listening:",
        *(f"{name:>8}  {url + '/mcp':<{width + 6}}{about.get(name, '')}".rstrip() for name, url in addresses.items()),
        *notes,
        "Paste into a client's configuration:",
        json.dumps(client, indent=2),
        "Stop with Ctrl+C.",
    ]
    return "\n".join(parts)
