"""One key, one effect: replays, conflicts, what frees a key and what leaves it unknown."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from gatelodge import Result
from gatelodge.contract import SilentChannel

from ..governed import Gate, Upstream, told, until


def code(result: Result) -> str:
    return result.outcome


async def test_the_same_call_again_is_replayed(gate: Gate, upstream: Upstream, database: str) -> None:
    """The stored result comes back marked, and nothing is sent a second time."""
    first = await gate.add("a", "k")
    again = await gate.add("a", "k")
    assert (first.structured, first.replayed) == ({"number": 1}, False)
    assert (again.structured, again.replayed) == ({"number": 1}, True)
    assert upstream.effects == ["a"]
    assert await told(gate, database) == [("intent", None), ("outcome", "ok"), ("event", "replayed")]


async def test_other_arguments_are_a_conflict(gate: Gate, upstream: Upstream) -> None:
    """A key stands for one call: with other arguments it answers 422 and does nothing."""
    await gate.add("a", "k")
    result = await gate.add("b", "k")
    assert result.error is not None
    assert (code(result), result.error.status) == ("conflict", 422)
    assert upstream.effects == ["a"]


async def test_nobody_gets_the_result_of_another_user(gate: Gate, upstream: Upstream) -> None:
    """In one tenant too: with the same key and arguments another user hears that the key is taken, and no more."""
    assert code(await gate.add("a", "k", user="ann")) == "ok"
    other = await gate.add("a", "k", user="bob")
    assert (code(other), other.structured, other.replayed) == ("conflict", None, False)
    assert (await gate.add("a", "k", user="ann", key_id="another key of hers")).replayed
    assert upstream.effects == ["a"]


async def test_a_key_belongs_to_a_tenant_and_a_tool(gate: Gate, upstream: Upstream) -> None:
    """Another tenant, and another tool, may use the same key for its own call."""
    await gate.add("a", "k")
    await gate.add("b", "k", tenant=UUID(int=2))
    await gate.call("counter.blind", {"name": "c"}, "k")
    assert upstream.effects == ["a", "b", "c"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "ключ", "tab\t", 7, ["k"], "\ud800"])
async def test_a_bad_key_is_refused(gate: Gate, upstream: Upstream, key: object) -> None:
    """What is not 1 to 200 visible characters is a validation error of that field."""
    result = await gate.add("a", key)
    assert code(result) == "validation_error"
    assert result.error is not None
    assert "idempotency_key" in result.error.details["fields"]
    assert upstream.effects == []


async def test_a_preview_claims_nothing(gate: Gate, upstream: Upstream, database: str) -> None:
    """A dry run with a key leaves one row, and the key free for the real call."""
    assert code(await gate.add("a", "k", dry_run=True)) == "ok"
    assert code(await gate.add("a", "k")) == "ok"
    assert upstream.effects == ["a"]
    assert await told(gate, database) == [("event", "ok"), ("intent", None), ("outcome", "ok")]


async def test_a_refusal_frees_the_key(gate: Gate, upstream: Upstream) -> None:
    """Where nothing was done the same key works again, even with other arguments."""
    assert code(await gate.add("a", "k", mode="refuse")) == "upstream_4xx"
    assert code(await gate.add("a", "k")) == "ok"
    assert upstream.effects == ["a"]


async def test_a_lost_reply_is_reconciled(gate: Gate, upstream: Upstream, database: str) -> None:
    """When the tool finds the effect of a call that failed after it, that is the result."""
    result = await gate.add("a", "k", mode="cut")
    assert (code(result), result.structured) == ("ok", {"number": 1})
    assert (await gate.add("a", "k", mode="cut")).replayed
    assert upstream.effects == ["a"]
    assert await told(gate, database) == [("intent", None), ("outcome", "ok"), ("event", "replayed")]


async def test_what_nobody_can_find_stays_unknown(gate: Gate, upstream: Upstream) -> None:
    """A tool that cannot look leaves the key unknown, however often it is tried; the effect is never repeated."""
    for _ in range(3):
        result = await gate.call("counter.blind", {"name": "a", "mode": "fail"}, "k")
        assert code(result) == "outcome_unknown"
    assert upstream.effects == ["a"]


async def test_a_deadline_leaves_the_outcome_to_the_tool(gate: Gate, upstream: Upstream) -> None:
    """A write that ran into its deadline is looked for before anything is said."""
    result = await gate.add("a", "k", mode="hold", timeout=0.2)
    assert (code(result), result.structured) == ("ok", {"number": 1})


async def test_a_running_call_is_waited_for_then_refused(gate: Gate, upstream: Upstream) -> None:
    """A retry waits a little, then is told to come back; once the first has ended it gets the first's result."""
    first = asyncio.create_task(gate.add("a", "k", mode="hold"))
    await upstream.reached.wait()
    early = await gate.add("a", "k", mode="hold")
    assert early.error is not None
    assert (code(early), early.error.status) == ("conflict", 409)
    assert early.error.retry_after is not None
    waiting = asyncio.create_task(gate.add("a", "k", mode="hold"))
    upstream.released.set()
    assert not (await first).replayed
    assert (await waiting).replayed
    assert upstream.effects == ["a"]


async def test_a_client_that_goes_away_does_not_stop_a_write(gate: Gate, upstream: Upstream, database: str) -> None:
    """The call goes on to its outcome row, and the retry finds its result."""
    call = asyncio.create_task(gate.add("a", "k", mode="hold"))
    await upstream.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    upstream.released.set()

    async def recorded() -> bool:
        return ("outcome", "ok") in await told(gate, database)

    await until(recorded)
    assert (await gate.add("a", "k", mode="hold")).structured == {"number": 1}
    assert upstream.effects == ["a"]


class BrokenChannel(SilentChannel):
    """A client whose connection breaks as soon as it is told something."""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        raise ConnectionResetError


async def test_a_broken_connection_does_not_stop_a_write(gate: Gate, upstream: Upstream) -> None:
    """News that cannot be told is left untold; the write ends as it would have."""
    assert code(await gate.add("a", "k", channel=BrokenChannel())) == "ok"
    assert (await gate.add("a", "k")).replayed
    assert upstream.effects == ["a"]


async def test_leases_are_renewed_while_a_call_runs(database: str, upstream: Upstream) -> None:
    """A call may take many times its lease and still be the one that holds the key."""
    settings = {"GATELODGE_IDEMPOTENCY_LEASE": "0.3", "GATELODGE_IDEMPOTENCY_WAIT": "0"}
    async with Gate(database, upstream.url, **settings).open() as gate:
        first = asyncio.create_task(gate.add("a", "k", mode="hold"))
        await upstream.reached.wait()
        await asyncio.sleep(1.2)
        assert code(await gate.add("a", "k", mode="hold")) == "conflict"
        upstream.released.set()
        assert code(await first) == "ok"


async def test_a_late_finisher_is_fenced(database: str, gate: Gate, upstream: Upstream) -> None:
    """Whose key was taken over may not settle it: it answers unknown, and the row of the new holder stands."""
    first = asyncio.create_task(gate.call("counter.blind", {"name": "a", "mode": "hold"}, "k"))
    await upstream.reached.wait()
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("UPDATE idempotency_keys SET lease_until = now() - interval '1 second'")
        assert code(await gate.call("counter.blind", {"name": "a", "mode": "hold"}, "k")) == "outcome_unknown"
        upstream.released.set()
        assert code(await first) == "outcome_unknown"
        assert await connection.fetchval("SELECT state FROM idempotency_keys") == "unknown"
    finally:
        await connection.close()
    assert upstream.effects == ["a"]


async def test_a_result_is_forgotten_after_its_time(database: str, gate: Gate, upstream: Upstream) -> None:
    """Past its expiry a settled key is free; one whose outcome is unknown is not."""
    await gate.add("a", "k")
    await gate.call("counter.blind", {"name": "b", "mode": "fail"}, "k")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    finally:
        await connection.close()
    assert (await gate.add("a", "k")).structured == {"number": 3}
    assert code(await gate.call("counter.blind", {"name": "b", "mode": "fail"}, "k")) == "outcome_unknown"
    assert upstream.effects == ["a", "b", "a"]
