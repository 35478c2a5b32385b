"""A chain with any row edited, removed, reordered, inserted or cut off is reported at the right row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatelodge.audit.archive import row_from, row_line
from gatelodge.audit.record import START, Head, Record, Row, digest, follow
from gatelodge.audit.verify import Check, Fault

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
INDEX = st.integers(0, 10**6)
FORGED = bytes(range(32))


def record(number: int) -> Record:
    return Record(tenant=UUID(int=1), kind="event", request_id=f"r{number}", arguments=f'{{"n":{number}}}')


def rehashed(row: Row) -> Row:
    return replace(row, hash=digest(row.prev_hash, row.seq, row.created_at, row.record))


def check(rows: list[Row], end: Head | None, anchors: dict[int, bytes], start: Head = START) -> Fault | None:
    """The first fault of rows as a table would give them."""
    checked = Check(start, end, anchors)
    for row in sorted(rows, key=lambda row: row.seq):
        fault = checked.row(row)
        if fault is not None:
            return fault
    return checked.finish()


class Chain(RuleBasedStateMachine):
    """A chain that grows under a jumping clock, is anchored and pruned; every kind of harm is tried at every step."""

    @initialize(length=st.integers(1, 6))
    def begin(self, length: int) -> None:
        self.start, self.head, self.now = START, START, NOON
        self.rows: list[Row] = []
        self.anchors: dict[int, bytes] = {}
        for _ in range(length):
            self.write(1.0)

    @rule(seconds=st.floats(-1e5, 1e5))
    def write(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        row = follow(self.head, record(self.head.seq + 1), self.now)
        assert row.created_at >= self.head.created_at
        self.rows.append(row)
        self.head = row.head

    @rule()
    def anchor(self) -> None:
        self.anchors[self.head.seq] = self.head.hash

    @precondition(lambda self: len(self.rows) > 3)
    @rule(index=INDEX)
    def prune(self, index: int) -> None:
        last = self.rows[index % (len(self.rows) - 1)]
        self.start = last.head
        self.rows = [row for row in self.rows if row.seq > last.seq]
        self.anchors = {seq: known for seq, known in self.anchors.items() if seq > last.seq}

    @invariant()
    def whole(self) -> None:
        assert self.found(self.rows) is None

    @rule(index=INDEX, field=st.sampled_from(["user", "outcome", "arguments", "duration_ms", "request_id", "address"]))
    def edited(self, index: int, field: str) -> None:
        row, rest = self.picked(index)
        value = 0.5 if field == "duration_ms" else "other"
        self.harmed([*rest, replace(row, record=replace(row.record, **{field: value}))], row.seq, "edited")

    @rule(index=INDEX)
    def edited_in_time(self, index: int) -> None:
        row, rest = self.picked(index)
        moved = replace(row, created_at=row.created_at + timedelta(microseconds=1))
        self.harmed([*rest, moved], row.seq, "edited")

    @rule(index=INDEX)
    def edited_with_its_hash(self, index: int) -> None:
        """A forger who makes the row's own hash fit is given away by the row after it, or by the head."""
        row, rest = self.picked(index)
        self.harmed([*rest, rehashed(replace(row, record=record(-1)))], row.seq, "edited")

    @rule(index=INDEX)
    def removed(self, index: int) -> None:
        row, rest = self.picked(index)
        self.harmed(rest, row.seq, "truncated" if row.seq == self.head.seq else "removed")

    @rule(index=INDEX)
    def truncated(self, index: int) -> None:
        row, _ = self.picked(index)
        self.harmed([other for other in self.rows if other.seq < row.seq], row.seq, "truncated")

    @rule(index=INDEX)
    def truncated_with_the_head(self, index: int) -> None:
        """Who can set the head back too is given away by an anchor."""
        row, _ = self.picked(index)
        rows = [other for other in self.rows if other.seq < row.seq]
        head = rows[-1].head if rows else self.start
        fault = check(rows, head, self.anchors, self.start)
        anchored = max(self.anchors, default=0) >= row.seq
        assert (fault is not None) == anchored
        assert fault is None or (fault.seq, fault.problem) == (row.seq, "truncated")

    @precondition(lambda self: len(self.rows) > 1)
    @rule(one=INDEX, other=INDEX)
    def reordered(self, one: int, other: int) -> None:
        first, second = sorted((one % len(self.rows), other % len(self.rows)))
        if first == second:
            second = (first + 1) % len(self.rows)
            first, second = sorted((first, second))
        a, b = self.rows[first], self.rows[second]
        rest = [row for row in self.rows if row not in (a, b)]
        swapped = [replace(a, seq=b.seq), replace(b, seq=a.seq)]
        self.harmed([*rest, *swapped], a.seq, "reordered")

    @rule(index=INDEX)
    def inserted(self, index: int) -> None:
        row, _ = self.picked(index)
        twin = rehashed(replace(row, record=record(-1)))
        self.harmed([*self.rows, twin], row.seq, "inserted")

    @rule()
    def appended(self) -> None:
        forged = follow(self.head, record(-1), self.now)
        self.harmed([*self.rows, forged], forged.seq, "inserted")

    @rule(index=INDEX)
    def rewritten(self, index: int) -> None:
        """A whole rest of a chain made anew, head and all, no longer leads to the anchors."""
        row, _ = self.picked(index)
        kept = [other for other in self.rows if other.seq < row.seq]
        head = kept[-1].head if kept else self.start
        forged = []
        for number in range(row.seq, self.head.seq + 1):
            forged.append(follow(head, record(-number), self.now))
            head = forged[-1].head
        fault = check([*kept, *forged], head, self.anchors, self.start)
        broken = [seq for seq in self.anchors if seq >= row.seq]
        assert (fault is not None) == bool(broken)
        if fault is not None:
            assert fault.problem == "rewritten"
            assert fault.seq <= row.seq <= min(broken)

    @rule(index=INDEX)
    def hash_replaced(self, index: int) -> None:
        row, rest = self.picked(index)
        self.harmed([*rest, replace(row, hash=FORGED)], row.seq, "edited")

    @rule(index=INDEX)
    def exported(self, index: int) -> None:
        row, _ = self.picked(index)
        assert row_from(row_line(row)) == row

    def picked(self, index: int) -> tuple[Row, list[Row]]:
        row = self.rows[index % len(self.rows)]
        return row, [other for other in self.rows if other is not row]

    def found(self, rows: list[Row]) -> Fault | None:
        return check(rows, self.head, self.anchors, self.start)

    def harmed(self, rows: list[Row], seq: int, problem: str) -> None:
        fault = self.found(rows)
        assert fault is not None
        assert (fault.seq, fault.problem) == (seq, problem), fault


Chain.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestChain = Chain.TestCase
