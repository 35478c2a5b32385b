"""The audit of calls: which rows a call leaves, and when it may not happen because it could not be written down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from ..contract import Call, Event, Result
from ..errors import ErrorCode, ToolError
from ..redaction import redact_text
from .batch import Job, Step
from .record import Record, address_column, json_column, text_column
from .writer import Writer

NOBODY = UUID(int=0)
"""The tenant in whose chain stands what happened at the door to someone unknown."""
REFUSED = "refused before anything was done: the audit was too slow"
UNRECORDED = "The write was sent, but its outcome could not be recorded. Look before you send it again."


class NotIntended(Exception):
    """A step kept the intent from being written, so the write must not happen."""


class Claim(Protocol):
    """What goes with a write's two rows: a step for each transaction, and one to undo the first."""

    @property
    def opening(self) -> Step: ...

    def withdrawal(self) -> Step: ...

    async def conclude(self, call: Call, result: Result) -> tuple[Result, Step]:
        """The result as it is to be recorded, and the step that goes with its row."""
        ...

    def confirmed(self, result: Result) -> Result:
        """The result as the caller is to see it, once it is recorded."""
        ...


@dataclass(slots=True)
class Entry:
    """What is known of the call under way. `claim` is set by who wants to take part in its rows.

    `written` says that the call has left, or will leave, rows of its own.
    """

    journal: Journal
    claim: Claim | None = None
    written: bool = False
    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)


current: ContextVar[Entry | None] = ContextVar("audit_entry", default=None)


def entry() -> Entry:
    """The entry of the call under way. Raises `disabled` where there is no audit: no record, no write."""
    found = current.get()
    if found is None:
        raise ToolError(ErrorCode.DISABLED, "There is no audit, so nothing may be written.")
    return found


class Journal:
    """Writes a call's rows. `reads_required` refuses reads too while they cannot be recorded."""

    def __init__(self, writer: Writer, *, reads_required: bool = True) -> None:
        self.writer = writer
        self._reads_required = reads_required

    def admit_read(self) -> None:
        """Raises `disabled` when reads must be recorded and cannot be."""
        if self._reads_required and (self.writer.failing or self.writer.full):
            raise self.writer.refusal()

    def note(self, call: Call, entry: Entry, outcome: str, detail: Mapping[str, Any] | None = None) -> None:
        """One row for a call that changed nothing: a read, a refusal, a replay."""
        ended = {"outcome": outcome, "detail": json_column(detail), "duration_ms": entry.elapsed_ms}
        self.writer.queue(_of_call(call, "event", **ended))

    def note_event(self, event: Event) -> None:
        self.writer.queue(of_event(event))

    async def intend(self, call: Call, claim: Claim | None) -> None:
        """The row before a write. Raises `disabled` when it cannot be written, `NotIntended` when the claim forbids."""
        record = _of_call(call, "intent")

        def undo() -> Job:
            detail = json_column({"message": REFUSED})
            refused = replace(record, kind="outcome", outcome=ErrorCode.DISABLED.value, detail=detail)
            return Job(refused, claim.withdrawal() if claim else None)

        if not await self.writer.intend(record, claim.opening if claim else None, undo):
            raise NotIntended

    async def conclude(self, call: Call, entry: Entry, result: Result, step: Step | None = None) -> bool:
        """The row after a write. False when it is not written yet."""
        record = _of_call(
            call,
            "outcome",
            outcome=result.outcome,
            before=json_column(result.before),
            after=json_column(result.after),
            detail=json_column(error_detail(result)),
            duration_ms=entry.elapsed_ms,
        )
        return await self.writer.conclude(record, step)


def unrecorded(result: Result) -> Result:
    """What the caller hears of a write whose outcome row is not written: not that all is well."""
    details: dict[str, Any] = {"outcome": result.outcome}
    if result.error is None:
        details["result"] = result.structured
    return Result(error=ToolError(ErrorCode.OUTCOME_UNKNOWN, UNRECORDED, details=details))


def error_detail(result: Result) -> dict[str, Any] | None:
    """What a row says of an error: its message, and the details that name fields or a cause."""
    if result.error is None:
        return None
    return {"message": result.error.message, **({"details": result.error.details} if result.error.details else {})}


def of_event(event: Event) -> Record:
    """The row of what happened at the door."""
    return Record(
        tenant=event.tenant or NOBODY,
        kind="event",
        request_id=event.request_id,
        user=text_column(event.user),
        method=event.method,
        key_id=text_column(event.key_id),
        address=address_column(event.address),
        door=event.door,
        action=event.action,
        outcome=event.outcome,
        detail=json_column(event.detail or None),
    )


def _of_call(call: Call, kind: Any, **more: Any) -> Record:
    """What every row of a call says, and what else this one does. Only a resource has a name of the caller's own making."""
    principal = call.principal
    return Record(
        tenant=principal.tenant,
        kind=kind,
        request_id=call.request_id,
        trace=_short(call.trace),
        user=text_column(principal.user),
        method=principal.method,
        key_id=text_column(principal.key_id),
        address=address_column(principal.address),
        door=call.door,
        tool=text_column(redact_text(call.name)) if call.kind == "resource" else call.name,
        action=call.kind,
        arguments=json_column(call.arguments or None),
        idempotency_key=_short(call.idempotency_key),
        **more,
    )


def _short(value: object) -> str | None:
    """A client's own word, not checked yet."""
    return None if value is None else text_column(redact_text(str(value)[:200]))
