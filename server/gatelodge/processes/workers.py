"""Several processes on the same sockets: started, kept, replaced one by one, and stopped.

A worker is `gatelodge serve --quiet` with inherited sockets; the line it prints says that it serves. The sockets stay
open in the parent, so what arrives while a worker is replaced waits for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import StartupError
from ..signing import SEED
from ..storage.lifeline import die_with_parent
from .inherited import Sockets, described

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that ended by itself is started again; twice as long each time in a row."""


class Worker:
    """One process that serves."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ended = asyncio.create_task(process.wait())

    async def ready(self) -> bool:
        """Wait until it serves; False when it ended instead."""
        assert self.process.stdout is not None
        return bool(await self.process.stdout.readline())

    async def stop(self, bound: float) -> None:
        """SIGTERM, and SIGKILL for one that has not ended after `bound` seconds."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        if not (await asyncio.wait({self.ended}, timeout=bound))[0]:
            logger.error("worker %s did not stop within %g s and is killed", self.process.pid, bound)
            self.process.kill()
        await self.ended


class Workers:
    """`count` workers on `sockets` that meet in the folder `siblings`; each gets `bound` seconds to stop."""

    def __init__(self, sockets: Sockets, siblings: Path, count: int, *, bound: float) -> None:
        self._sockets = sockets
        self._siblings = siblings
        self._count = count
        self._bound = bound
        self._workers: list[Worker] = []
        self._pause = FIRST_PAUSE
        self._seed = secrets.token_hex(32)

    async def start(self) -> None:
        """Start all of them. Raises `StartupError` unless each comes to serve; its own line on stderr says why."""
        self._workers = [await self._spawn() for _ in range(self._count)]
        if not all(await asyncio.gather(*(worker.ready() for worker in self._workers))):
            await self.stop()
            raise StartupError("worker_failed", "a worker did not start; the line above says why")

    async def keep(self, stopped: asyncio.Event, replace: asyncio.Event) -> None:
        """Replace workers that end, and all of them, one by one, whenever `replace` is set, until `stopped`."""
        while not stopped.is_set():
            await _first(stopped.wait(), replace.wait(), *(asyncio.shield(worker.ended) for worker in self._workers))
            if replace.is_set():
                replace.clear()
                await self._replace_all(stopped)
            elif not stopped.is_set():
                await self._restart_ended(stopped)

    async def stop(self) -> None:
        await asyncio.gather(*(worker.stop(self._bound) for worker in self._workers))

    async def _replace_all(self, stopped: asyncio.Event) -> None:
        """A new worker serves before an old one stops; when one does not come up, the old ones stay."""
        for place, old in enumerate(self._workers):
            new = await self._spawn()
            if stopped.is_set() or not await new.ready():
                await new.stop(self._bound)
                logger.error("a new worker did not start; the old ones stay")
                return
            self._workers[place] = new
            await old.stop(self._bound)

    async def _restart_ended(self, stopped: asyncio.Event) -> None:
        logger.error("a worker ended by itself; another starts in %g s", self._pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await stopped.wait()
                return
        for place, old in enumerate(self._workers):
            if old.ended.done():
                self._workers[place] = await self._spawn()
                started = await self._workers[place].ready()
                self._pause = FIRST_PAUSE if started else min(2 * self._pause, LONGEST_PAUSE)

    async def _spawn(self) -> Worker:
        inherit = [part for text in described(self._sockets) for part in ("--inherit", text)]
        command = [sys.executable, "-m", "gatelodge", "serve", "--quiet", *inherit, "--siblings", str(self._siblings)]
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, SEED: self._seed},
            stdout=PIPE,
            pass_fds=[each.fileno() for each in self._sockets.values()],
            preexec_fn=die_with_parent(signal.SIGTERM),
            start_new_session=True,  # Ctrl+C reaches the parent alone, which stops them in order
        )
        return Worker(process)


async def _first(*awaitables: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
    """Wait for the first, and forget the others."""
    waiting: Sequence[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in awaitables]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
