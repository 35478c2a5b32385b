"""Progress of work that cannot count its steps: the client hears every second that it still goes on, and how far it got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from .contract import Call

EVERY = 1.0
"""Seconds."""


@asynccontextmanager
async def telling(call: Call, describe: Callable[[], str]) -> AsyncIterator[None]:
    """While the block runs, report as progress the seconds it has taken, with what `describe` says at that moment.

    What is over within a second reports nothing, and nothing is sent to a client that did not ask. No report is cut
    short at the end of the block: a half-sent event would spoil the stream that the answer goes down.
    """
    done = asyncio.Event()
    reporting = asyncio.create_task(_report(call, describe, done))
    try:
        yield
    finally:
        done.set()
        with suppress(ConnectionError):  # whoever cannot be told any more has left
            await reporting


async def _report(call: Call, describe: Callable[[], str], done: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await done.wait()
                return
        await call.progress(round(loop.time() - began, 1), message=describe())
