"""Group commit: one task writes whatever rows have come together as one transaction.

Rows that someone waits for are written at once; the others wait a moment for company. When Postgres fails, what was
taken for a batch is kept and tried again until it is known to be written, each row exactly once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from ..errors import ErrorCode, ToolError
from ..storage.bounded import cut, cut_after
from .batch import Batch, Job, Step
from .record import Record

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

logger = logging.getLogger(__name__)

LARGEST_BATCH = 500
LINGER = 0.02
"""Seconds that rows nobody waits for wait for company."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between tries while Postgres fails."""
RETRY_AFTER = 5.0
RECORDER = "SET ROLE gatelodge_recorder; SET lock_timeout = '5s'"


@dataclass(slots=True)
class Counts:
    """What the writer has done since it started; `dropped` and `refused` count what could not be recorded."""

    written: int = 0
    batches: int = 0
    failures: int = 0
    dropped: int = 0
    refused: int = 0


class Writer:
    """The one that writes rows. `capacity` is how many may queue, `patience` how many seconds a try or a wait may take.

    `failing` names the error while Postgres does not take rows; `follow` is called with it, and with None when it is over.
    """

    def __init__(
        self,
        pool: Pool[Any],
        *,
        capacity: int = 10_000,
        patience: float = 2.0,
        follow: Callable[[str | None], None] = lambda failing: None,
    ) -> None:
        self._pool = pool
        self._capacity = capacity
        self.patience = patience
        self._follow = follow
        self._urgent: deque[Job] = deque()
        self._queued: deque[Job] = deque()
        self._batch: Batch | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._connection: Connection | None = None
        self._months_of: tuple[int, int] | None = None
        self._closing = False
        self.failing: str | None = None
        self.counts = Counts()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Writer]:
        """Write from here on; at the end, write what is queued if Postgres lets us."""
        task = asyncio.create_task(self._run(), name="audit writer")
        try:
            yield self
        finally:
            await self._close(task)

    @property
    def depth(self) -> int:
        """How many rows are not written yet."""
        return len(self._urgent) + len(self._queued) + (len(self._batch.jobs) if self._batch else 0)

    @property
    def full(self) -> bool:
        return len(self._queued) >= self._capacity

    def queue(self, record: Record) -> bool:
        """Write a row soon, without waiting for it. False, and counted, when the queue is full."""
        if self.full:
            self.counts.dropped += 1
            return False
        self._queued.append(Job(record))
        self._wake.set()
        return True

    async def intend(self, record: Record, step: Step | None, undo: Callable[[], Job]) -> bool:
        """Write a row before something happens. False when its step kept it from being written.

        Raises `disabled` when that is not known to have worked in time; then it must not happen, and is taken back.
        """
        if self.failing or self._closing:
            raise self.refusal()
        done = self._submit(Job(record, step, undo))
        if await self._finished(done):
            return done.result()
        done.cancel()
        raise self.refusal()

    async def conclude(self, record: Record, step: Step | None) -> bool:
        """Write a row about what did happen. False when it is not written yet; it stays queued and will be."""
        return await self._finished(self._submit(Job(record, step)))

    def refusal(self) -> ToolError:
        """The error of a call that may not happen because it cannot be recorded; counted."""
        self.counts.refused += 1
        message = "The audit cannot be written at the moment, so nothing was done."
        return ToolError(ErrorCode.DISABLED, message, retry_after=RETRY_AFTER)

    def _submit(self, job: Job) -> asyncio.Future[bool]:
        job.done = asyncio.get_running_loop().create_future()
        self._urgent.append(job)
        self._wake.set()
        self._hurry.set()
        return job.done

    async def _finished(self, done: asyncio.Future[bool]) -> bool:
        return bool((await asyncio.wait({done}, timeout=self.patience))[0])

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while not (self._closing and self.depth == 0):
            await self._work_to_do()
            try:
                await self._write_next()
            except asyncpg.DataError as error:
                self._isolate(error)
            except Exception as error:  # a lost connection takes many forms; the writer may not end by any of them
                self._fail(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._succeed()
                pause = FIRST_PAUSE

    async def _work_to_do(self) -> None:
        """Until there is something to write. A failing server is tried without a reason: recovery needs no call."""
        if self._batch or self.failing:
            return
        await self._wake.wait()
        if not self._urgent and not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._hurry.wait()

    async def _write_next(self) -> None:
        connection = await self._connected()
        with cut_after(connection, self.patience):
            await self._ensure_months(connection)
            self._batch = self._batch or self._take()
            if self._batch is None:
                await connection.execute("SELECT 1")
                return
            await self._batch.commit(connection)
        batch, self._batch = self._batch, None
        self._settle(batch)

    def _take(self) -> Batch | None:
        """The next jobs in the order they came, but never so many queued ones that what is waited for must wait."""
        room = max(0, LARGEST_BATCH - len(self._urgent))
        taken = [*_first(self._queued, room), *_first(self._urgent, LARGEST_BATCH)]
        jobs = [job for job in taken if not job.abandoned]
        if not self._urgent:
            self._hurry.clear()
            if not self._queued:
                self._wake.clear()
        return Batch(jobs) if jobs else None

    def _settle(self, batch: Batch) -> None:
        """Tell the owners. Who has stopped waiting believes that nothing happened, so that is made true."""
        self.counts.batches += 1
        for job in batch.jobs:
            self.counts.written += job.allowed
            if job.to_undo and job.undo is not None:
                self._submit(job.undo())
            job.finish()

    def _isolate(self, error: Exception) -> None:
        """A row that Postgres will never take must not hold up the others: halve until it is alone, and give it up."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        if len(batch.jobs) > 1:
            self._batch, rest = batch.split()
            self._urgent.extendleft(reversed(rest.jobs))
            self._wake.set()
            return
        self.counts.dropped += 1
        logger.error(
            "audit row refused by Postgres and given up; the others are written",
            extra={"error": type(error).__name__, "request_id": batch.jobs[0].record.request_id},
        )
        for job in batch.jobs:
            job.fail(self.refusal())

    def _fail(self, error: Exception) -> None:
        self.counts.failures += 1
        known = self.failing is not None
        self.failing, self._months_of = type(error).__name__, None
        if not known:
            logger.error(
                "audit cannot be written: writes are refused until Postgres takes rows again; see that it is up, lets us in and"
                " has room on its disk",
                extra={"error": self.failing, "reason": str(error).partition("\n")[0]},
            )
            self._follow(self.failing)
        self._disconnect()

    def _succeed(self) -> None:
        if self.failing is not None:
            self.failing = None
            logger.warning("audit is written again")
            self._follow(None)

    async def _connected(self) -> Connection:
        """The connection we keep, as the role that can only add."""
        if self._connection is None:
            self._connection = await self._pool.acquire(timeout=self.patience)
            with cut_after(self._connection, self.patience):
                await self._connection.execute(RECORDER)
        return self._connection

    def _disconnect(self) -> None:
        """Cut, not released: the pool must not get back a connection with another role."""
        connection, self._connection = self._connection, None
        if connection is not None:
            cut(connection)

    async def _ensure_months(self, connection: Connection) -> None:
        """Partitions of this month and the next, when a month begins."""
        today = datetime.now(UTC).date()
        if self._months_of != (today.year, today.month):
            for day in (today, today.replace(day=1) + timedelta(days=32)):
                await connection.execute("SELECT audit_logs_create_partition($1)", day)
            self._months_of = (today.year, today.month)

    async def _close(self, task: asyncio.Task[None]) -> None:
        self._closing = True
        self._wake.set()
        self._hurry.set()
        await asyncio.wait({task}, timeout=2 * self.patience)
        self._disconnect()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if self.depth:
            logger.error("audit rows lost: Postgres did not take them before the shutdown", extra={"rows": self.depth})


def _first(jobs: deque[Job], count: int) -> list[Job]:
    return [jobs.popleft() for _ in range(min(count, len(jobs)))]
