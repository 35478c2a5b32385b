"""No record, no write: a row before a write is sent, and one after, whether or not the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from ..audit.journal import Entry, entry, unrecorded
from ..audit.line import Line
from ..contract import Call, Middleware, Next, Phase, Result
from ..dispatch import answered
from ..hookspecs import hookimpl
from ..storage import Storage

LAST_WAIT = 30.0
"""Seconds that running writes get to end when the server stops."""


class IntentPlugin:
    """Runs each write in a task of its own, so that a client that goes away cannot leave it without an outcome."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Result]] = set()

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("intent", Phase.INTENT, self._write),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        yield
        if self._running:
            await asyncio.wait(self._running, timeout=LAST_WAIT)

    async def _write(self, call: Call, call_next: Next) -> Result:
        if not has_effect(call):
            return await call_next(call)
        line = Line(call.channel)
        task = asyncio.create_task(_recorded(replace(call, channel=line), call_next, entry()))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        finally:
            line.gone = True

    def _ended(self, task: asyncio.Task[Result]) -> None:
        self._running.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()  # a client that went away will not ask for it


def has_effect(call: Call) -> bool:
    """Whether a call may change something: a write, but not the preview that a tool's `dry_run` argument asks for."""
    if call.read_only:
        return False
    previews = "dry_run" in call.target.input_schema.get("properties", {})
    return not (previews and call.arguments.get("dry_run") is True)


async def _recorded(call: Call, call_next: Next, entry: Entry) -> Result:
    claim, journal = entry.claim, entry.journal
    entry.written = True
    try:
        await journal.intend(call, claim)
    except BaseException:  # whatever kept the row from being written, the call has none of its own yet
        entry.written = False
        raise
    result = await answered(call_next, call)
    if claim is None:
        return result if await journal.conclude(call, entry, result) else unrecorded(result)
    result, step = await claim.conclude(call, result)
    return claim.confirmed(result) if await journal.conclude(call, entry, result, step) else unrecorded(result)
