"""Rows on their way to the audit, and the transaction that writes some of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .ledger import append, chain, holds, lock_heads
from .record import Record, Row

if TYPE_CHECKING:
    from ..storage.postgres import Connection


class Step(Protocol):
    """Something that commits in one transaction with a row."""

    @staticmethod
    async def apply(connection: Connection, steps: Sequence[Any]) -> Sequence[bool]:
        """Do the steps of a batch, in order; for each, whether its row may be written. May be tried more than once."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """A row to write. `undo` makes the job that takes it back, if it is written after its owner has stopped waiting."""

    record: Record
    step: Step | None = None
    undo: Callable[[], Job] | None = None
    done: asyncio.Future[bool] | None = None
    allowed: bool = True

    @property
    def abandoned(self) -> bool:
        return self.done is not None and self.done.cancelled()

    @property
    def to_undo(self) -> bool:
        return self.abandoned and self.allowed and self.undo is not None

    def finish(self) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(self.allowed)

    def fail(self, error: Exception) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Batch:
    """Jobs that are written together, exactly once however often it is tried.

    `mark` is a row of the last try, by which to see whether that try was committed though we were not told.
    """

    jobs: list[Job]
    mark: Row | None = field(default=None)

    async def commit(self, connection: Connection) -> None:
        """Do the steps and add the rows they allow. Raises what Postgres raises; then it is to be tried again."""
        async with connection.transaction():
            heads, now = await lock_heads(connection, (job.record.tenant for job in self.jobs))
            # With the heads ours, no earlier try of this batch is still under way: its row is there, or never will be.
            if self.mark is not None and await holds(connection, self.mark):
                return
            self.jobs = [job for job in self.jobs if not job.abandoned]
            await _apply_steps(connection, self.jobs)
            rows, moved = chain(heads, (job.record for job in self.jobs if job.allowed), now)
            self.mark = rows[-1] if rows else None
            if rows:
                await append(connection, rows, moved)

    def split(self) -> tuple[Batch, Batch]:
        half = len(self.jobs) // 2
        return Batch(self.jobs[:half]), Batch(self.jobs[half:])


async def _apply_steps(connection: Connection, jobs: Sequence[Job]) -> None:
    """Steps of one kind are done together, kinds in the order in which they come."""
    kinds: dict[Any, list[Job]] = {}
    for job in jobs:
        if job.step is not None:
            kinds.setdefault(job.step.apply, []).append(job)
    for apply, of_kind in kinds.items():
        verdicts = await apply(connection, [job.step for job in of_kind])
        for job, verdict in zip(of_kind, verdicts, strict=True):
            job.allowed = verdict
