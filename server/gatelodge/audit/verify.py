"""Whether a chain is whole: each row's hash, its link to the row before, the head, and the anchors kept elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from .anchors import Anchor, read_anchors
from .ledger import read_chain
from .record import START, Head, Row, digest

if TYPE_CHECKING:
    from ..storage.postgres import Connection

Problem = Literal["edited", "removed", "reordered", "inserted", "truncated", "rewritten"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad row of a chain: its number, what was done to it, and how that shows."""

    seq: int
    problem: Problem
    sentence: str


@dataclass(slots=True)
class Check:
    """Fed with a tenant's rows by number. `start` is what the first must follow, `anchors` hold hashes by number."""

    start: Head = START
    end: Head | None = None
    anchors: Mapping[int, bytes] = field(default_factory=dict)
    at: Head = field(init=False)
    doubt: Fault | None = None
    count: int = 0

    def __post_init__(self) -> None:
        self.at = self.start

    @classmethod
    def from_row(cls, row: Row) -> Check:
        """A check that takes what comes before this row as given."""
        return cls(Head(row.seq - 1, row.prev_hash, row.created_at))

    def row(self, row: Row) -> Fault | None:
        """The fault that this row shows, which may be the row's before."""
        fault = self._weighed(self._numbered(row) or self._linked(row))
        self.at, self.doubt = row.head, self._anchored(row)
        self.count += 1
        return fault

    def finish(self) -> Fault | None:
        """The fault that the end shows."""
        return self._weighed(self._ended())

    def _weighed(self, fault: Fault | None) -> Fault | None:
        """A last row that missed its anchor was edited alone if what follows still knows its old hash."""
        alone = fault is not None and fault.seq == self.at.seq
        return fault if alone or self.doubt is None else self.doubt

    def _ended(self) -> Fault | None:
        at, end = self.at, self.end
        last = max([end.seq if end else 0, *self.anchors])
        if at.seq < last or end is None:
            return Fault(at.seq + 1, "truncated", f"the chain ends at {at.seq}, but went on to {max(last, at.seq + 1)}")
        if at.seq > end.seq:
            return Fault(end.seq + 1, "inserted", f"the chain's head is {end.seq}")
        if at.hash != end.hash:
            return Fault(at.seq, "edited", "its hash is not the one that the chain's head has")
        return None

    def _numbered(self, row: Row) -> Fault | None:
        expected = self.at.seq + 1
        if row.seq > expected:
            return Fault(expected, "removed", f"after {self.at.seq} comes {row.seq}")
        if row.seq < expected:
            return Fault(row.seq, "inserted", "there is another row of this number")
        return None

    def _linked(self, row: Row) -> Fault | None:
        follows = row.prev_hash == self.at.hash
        if row.prev_hash is None or digest(row.prev_hash, row.seq, row.created_at, row.record) != row.hash:
            if follows:
                return Fault(row.seq, "edited", "its hash is not that of what it says")
            return Fault(row.seq, "reordered", "it is not the row that followed the one before it")
        if follows:
            return None
        if self.at is self.start:
            return Fault(row.seq, "edited", "it does not follow the start of the chain")
        return Fault(self.at.seq, "edited", "the row after it follows another hash")

    def _anchored(self, row: Row) -> Fault | None:
        anchor = self.anchors.get(row.seq)
        if anchor is None or anchor == row.hash:
            return None
        good = max((seq for seq in self.anchors if seq < row.seq), default=self.start.seq)
        return Fault(good + 1, "rewritten", f"the chain does not lead to the anchor at {row.seq}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one tenant's chain found; `fault` is None when it is whole."""

    tenant: UUID
    rows: int
    last: int
    fault: Fault | None


async def verify(
    connection: Connection, tenant: UUID | None = None, anchors: tuple[Anchor, ...] = ()
) -> AsyncIterator[Verdict]:
    """Check the chains of one tenant or of all, against these anchors and those of the database.

    The signatures of anchors are the caller's to check. Sees one moment, so it may run while rows are written.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored = await read_anchors(connection)
        tenants = [tenant] if tenant else await _tenants(connection, {anchor.tenant for anchor in (*stored, *anchors)})
        for each in tenants:
            yield await _verify_one(connection, each, [a for a in (*stored, *anchors) if a.tenant == each])


async def _verify_one(connection: Connection, tenant: UUID, anchors: list[Anchor]) -> Verdict:
    pruned = max((a for a in anchors if a.reason == "prune"), key=lambda a: a.seq, default=None)
    start = pruned.head if pruned else START
    later = {a.seq: a.hash for a in anchors if a.seq > start.seq}
    check = Check(start, await _head(connection, tenant), later)
    async for row in read_chain(connection, tenant, start.seq):
        fault = check.row(row)
        if fault is not None:
            return Verdict(tenant, check.count, check.at.seq, fault)
    return Verdict(tenant, check.count, check.at.seq, check.finish())


async def _tenants(connection: Connection, more: set[UUID]) -> list[UUID]:
    found = await connection.fetch("SELECT tenant_id FROM audit_heads UNION SELECT tenant_id FROM audit_logs")
    return sorted({row[0] for row in found} | more)


async def _head(connection: Connection, tenant: UUID) -> Head | None:
    row = await connection.fetchrow("SELECT seq, hash, created_at FROM audit_heads WHERE tenant_id = $1", tenant)
    return Head(*row) if row else None
