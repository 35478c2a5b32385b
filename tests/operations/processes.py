"""Servers as processes of their own, started as an operator starts them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gatelodge.testing import DEFAULTS

BOUND = 120
"""Seconds that anything may take: many tests share few cores."""


def variables(**settings: str) -> dict[str, str]:
    """The environment of a process, without settings that happen to be set here."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "GATELODGE_EVENT_LOOP") if name in os.environ}
    return {**kept, **DEFAULTS, **settings}


@dataclass(frozen=True, slots=True)
class Served:
    """A process that serves, and each listener's base URL."""

    process: asyncio.subprocess.Process
    urls: dict[str, str]

    @property
    def url(self) -> str:
        return self.urls["hub"]

    async def stop(self, number: signal.Signals = signal.SIGTERM, bound: float = BOUND) -> int:
        """The exit status after the signal. Raises `TimeoutError` for a process that is not gone by then."""
        self.process.send_signal(number)
        async with asyncio.timeout(bound):
            return await self.process.wait()


@asynccontextmanager
async def serving(*options: str, **settings: str) -> AsyncIterator[Served]:
    """`gatelodge serve`, ready; killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", "serve", "--quiet", *options),
        env=variables(**settings),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        yield Served(process, json.loads(line)["listening"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def command(*arguments: str, stdin: str | None = None, **settings: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a `gatelodge` command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", *arguments),
        env=variables(**settings),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(None if stdin is None else stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
