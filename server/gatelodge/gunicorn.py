"""Served by gunicorn, with aiohttp's worker:

    gunicorn gatelodge.gunicorn:hub --worker-class aiohttp.GunicornWebWorker --workers 4 --bind 127.0.0.1:8054
    gunicorn gatelodge.gunicorn:jira --worker-class aiohttp.GunicornWebWorker --workers 4 --bind 127.0.0.1:8055
    gunicorn gatelodge.gunicorn:sql --worker-class aiohttp.GunicornWebWorker --workers 4 --bind 127.0.0.1:8056

The name after the colon is a listener's: `hub`, or a plugin's. gunicorn owns sockets, TLS and processes, so it decides what
`GATELODGE_HOST`, the ports, `GATELODGE_TLS_CERT` and `GATELODGE_WORKERS` decide elsewhere. It may run any number of workers,
so they must share Postgres and Redis. Give it a `--graceful-timeout` and a `--timeout` of more than
`GATELODGE_DRAIN_DELAY` + `GATELODGE_DRAIN_TIMEOUT` + 5 seconds, or it kills workers that are still answering.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from aiohttp import web

from .application import Server, open_server
from .assembly import Listener
from .errors import StartupError
from .identity.addresses import is_loopback
from .listening import RUNNER, drain
from .logs import LogSettings, set_up_logs
from .processes.settings import ProcessSettings
from .settings import Environment
from .storage.opening import StorageSettings

BOOT_ERROR = 3
"""The exit status by which gunicorn knows that another worker would fail too. Source: gunicorn's `Arbiter`."""
HOST = "GATELODGE_HOST"


def __getattr__(listener: str) -> Callable[[], Awaitable[web.AppRunner]]:
    """What gunicorn asks for: a function that opens the server inside its worker."""
    if listener.startswith("_"):
        raise AttributeError(listener)

    async def serve() -> web.AppRunner:
        try:
            return await _open(listener)
        except StartupError as error:
            print(f"gatelodge: {error}", file=sys.stderr)
            raise SystemExit(BOOT_ERROR) from None

    return serve


class Runner(web.AppRunner):
    """Drains before it closes, and closes the server after it."""

    def __init__(self, server: Server, listener: Listener, stack: AsyncExitStack) -> None:
        super().__init__(listener.app, **RUNNER)
        self._gatelodge = server
        self._open = stack

    async def cleanup(self) -> None:
        self._gatelodge.draining.begin()
        await asyncio.sleep(self._gatelodge.processes.drain_delay)
        await drain(self._gatelodge, [self])
        await super().cleanup()
        await self._open.aclose()


async def _open(name: str) -> Runner:
    variables = {**os.environ, HOST: _host(_bound())}
    environment = Environment(variables)
    set_up_logs(environment.read(LogSettings).form)
    _refuse_what_gunicorn_decides(environment)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(variables, siblings=_meeting_place(), hosted=True))
        return Runner(server, _listener(server, name), stack.pop_all())


def _refuse_what_gunicorn_decides(environment: Environment) -> None:
    processes, storage = environment.read(ProcessSettings), environment.read(StorageSettings)
    if processes.certificate is not None or processes.key is not None:
        raise StartupError(
            "setting_invalid",
            "gunicorn speaks TLS itself: in place of GATELODGE_TLS_CERT give it --certfile and --keyfile",
        )
    if processes.workers != 1:
        raise StartupError(
            "setting_invalid", "gunicorn starts the workers: in place of GATELODGE_WORKERS give it --workers"
        )
    several = 2  # nobody knows how many: a signal to gunicorn adds one
    processes.refuse_unshared(workers=several, database=not storage.embedded, redis=storage.redis_url is not None)


def _listener(server: Server, name: str) -> Listener:
    found = {each.name: each for each in server.listeners}
    if name not in found:
        raise StartupError("setting_invalid", f"there is no listener {name}; there are {', '.join(found)}")
    return found[name]


def _bound() -> list[str]:
    """The addresses of the listening sockets that this process was given. One of the file system has none."""
    found = []
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the one of the listing itself is closed by now
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found += _address(socket.socket(fileno=descriptor))
    return found


def _address(given: socket.socket) -> list[str]:
    try:
        if given.family not in (socket.AF_INET, socket.AF_INET6):
            return []
        with suppress(OSError):
            given.getpeername()
            return []  # a connection
        return [given.getsockname()[0]]
    finally:
        given.detach()


def _host(addresses: list[str]) -> str:
    """The one that counts: any that others can reach makes the server a public one."""
    public = [address for address in addresses if not is_loopback(address)]
    return next(iter(public or addresses), "localhost")


def _meeting_place() -> Path:
    """The folder for the workers of this gunicorn, in one that nobody else may enter. Raises `StartupError`."""
    mine = Path(tempfile.gettempdir()) / f"gatelodge-{os.getuid()}"
    try:
        mine.mkdir(mode=0o700, exist_ok=True)
        about = mine.lstat()
        if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) != 0o700 or not stat.S_ISDIR(about.st_mode):
            raise StartupError("folder_unusable", f"{mine} is another user's; set TMPDIR to a folder of your own")
    except OSError as error:
        raise StartupError("folder_unusable", f"workers need a folder, set TMPDIR to one: {error.strerror}") from None
    return mine / str(os.getppid())
