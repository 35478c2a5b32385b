"""Which rows a call leaves, what they say and do not say, and that they form one chain however many write it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from gatelodge import Call, Event, Middleware, Next, Phase, Result, ToolError
from gatelodge.audit.journal import NOBODY
from gatelodge.audit.ledger import append, chain, lock_heads
from gatelodge.audit.record import Record
from gatelodge.audit.verify import verify
from gatelodge.storage.postgres import create_pool

from ..governed import Gate, Upstream, rows, told

CANARY = "canary-7f3a9"


async def problems(dsn: str) -> list[tuple[int, str] | None]:
    """The verdict on each tenant's chain."""
    connection = await asyncpg.connect(dsn)
    try:
        found = [verdict async for verdict in verify(connection)]
    finally:
        await connection.close()
    return [None if verdict.fault is None else (verdict.fault.seq, verdict.fault.problem) for verdict in found]


def refusing(phase: Phase, error: ToolError) -> Middleware:
    async def refuse(call: Call, call_next: Next) -> Result:
        raise error

    return Middleware("refuse", phase, refuse)


# --- which rows ---


async def test_a_read_leaves_one_row(gate: Gate, upstream: Upstream, database: str) -> None:
    """With who, what, how and how long."""
    upstream.effects.append("a")
    await gate.call("counter.find", {"name": "a"}, request_id="r7", address="192.0.2.7", key_id="key1")
    assert await told(gate, database) == [("event", "ok")]
    row = (await rows(database))[0]
    said = [row[name] for name in ("seq", "request_id", "user_id", "auth_method", "key_id", "door", "tool", "action")]
    assert said == [1, "r7", "someone", "test", "key1", "test", "counter.find", "tool"]
    assert str(row["address"]) == "192.0.2.7"
    assert msgspec.json.decode(row["arguments"]) == {"name": "a"}
    assert row["duration_ms"] > 0


async def test_a_write_leaves_an_intent_and_an_outcome(gate: Gate, database: str) -> None:
    """The outcome has what was before and after, and the request that ties it to its intent."""
    await gate.add("a", request_id="r1")
    assert await told(gate, database) == [("intent", None), ("outcome", "ok")]
    intent, outcome = await rows(database)
    assert intent["request_id"] == outcome["request_id"] == "r1"
    assert (outcome["before"], outcome["after"]) == ('{"number":0}', '{"number":1}')


async def test_the_intent_is_there_before_the_effect(gate: Gate, upstream: Upstream, database: str) -> None:
    """When the tool is at work its intent row is committed already."""
    call = asyncio.create_task(gate.add("a", mode="hold"))
    await upstream.reached.wait()
    assert [row["kind"] for row in await rows(database)] == ["intent"]
    upstream.released.set()
    await call


@pytest.mark.parametrize("mode", ["refuse", "fail", "cut"])
async def test_a_failed_write_has_its_outcome_too(gate: Gate, database: str, mode: str) -> None:
    """An error is an outcome, under its code."""
    result = await gate.add("a", mode=mode)
    assert await told(gate, database) == [("intent", None), ("outcome", result.outcome)]
    assert result.error is not None
    assert msgspec.json.decode((await rows(database))[1]["detail"])["message"] == result.error.message


@pytest.mark.parametrize(
    ("phase", "code"), [(Phase.ACCESS, "forbidden"), (Phase.LIMITS, "rate_limited"), (Phase.ACCESS, "disabled")]
)
@pytest.mark.parametrize("tool", ["counter.add", "counter.find"])
async def test_a_refusal_leaves_one_row(database: str, upstream: Upstream, phase: Phase, code: str, tool: str) -> None:
    """Denials and 429s, of reads and writes alike; nothing is intended, nothing happens."""
    async with Gate(database, upstream.url, refusing(phase, ToolError(code, "no"))).open() as gate:
        assert (await gate.call(tool, {"name": "a"})).outcome == code
        assert await told(gate, database) == [("event", code)]
    assert upstream.effects == []


async def test_invalid_arguments_leave_one_row(gate: Gate, database: str) -> None:
    """With the arguments as they were sent, NUL, lone surrogates and depth included."""
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    await gate.call("counter.add", {"name": 7, "nul": "a\0b", "lone": "\ud800", "deep": deep, "\udfff": 1})
    assert await told(gate, database) == [("event", "validation_error")]
    said = msgspec.json.decode((await rows(database))[0]["arguments"])
    assert (said["name"], said["nul"], said["lone"]) == (7, "a\0b", "?")
    assert await problems(database) == [None]


async def test_a_cancelled_read_leaves_a_row(database: str, upstream: Upstream) -> None:
    """A client that goes away from a read is written down as that."""

    async def wait(call: Call, call_next: Next) -> Result:
        await asyncio.Event().wait()
        raise AssertionError

    async with Gate(database, upstream.url, Middleware("wait", Phase.CACHE, wait)).open() as gate:
        call = asyncio.create_task(gate.call("counter.find", {"name": "a"}))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await told(gate, database) == [("event", "cancelled")]


async def test_what_happens_at_the_door_is_heard(gate: Gate, database: str) -> None:
    """A refused login stands in the chain of nobody, when nobody knows whose it was."""
    (record,) = gate.audit.gatelodge_recorders()
    record(Event(action="authentication", outcome="unauthorized", request_id="r1", address="::1", door="http"))
    record(Event(action="authentication", outcome="forbidden", request_id="r2", tenant=UUID(int=9), user="u"))
    await gate.flushed()
    (unknown,), (known,) = await rows(database, NOBODY), await rows(database, UUID(int=9))
    assert (unknown["action"], unknown["outcome"], str(unknown["address"])) == ("authentication", "unauthorized", "::1")
    assert (known["outcome"], known["user_id"]) == ("forbidden", "u")


async def test_closing_writes_what_is_queued(database: str, upstream: Upstream) -> None:
    """A server that stops loses no row."""
    async with Gate(database, upstream.url).open() as gate:
        await asyncio.gather(*(gate.call("counter.find", {"name": str(n)}) for n in range(200)))
    assert len(await rows(database)) == 200


# --- what rows do not say ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", CANARY),
        ("name", f"Authorization: Bearer {CANARY}"),
        ("name", f"postgresql://u:{CANARY}@db/x"),
        ("name", f"password={CANARY}&x=1"),
        ("name", f'{{"api_key": "{CANARY}"}}'),
        ("name", f"eyJhbGciOiJub25lIn0.{CANARY}.x"),
        ("name", f"glk_{CANARY}{CANARY}"),
        ("name", f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"),
        ("name", "x" * 3990 + f" password={CANARY}"),
    ],
)
async def test_no_row_holds_a_secret(gate: Gate, database: str, superuser: str, field: str, value: str) -> None:
    """By the name of its field or by its look, in arguments, before, after, error messages and keys."""
    text = value if field == "name" else "harmless"
    error = ToolError("forbidden", text, details={"password": CANARY, "text": text})

    async def leak(call: Call, call_next: Next) -> Result:
        leaked = {"nested": [{"secret": CANARY, "text": text}]}
        return Result(error=error, before=leaked, after=leaked)

    async with Gate(database, "http://127.0.0.1:1", Middleware("leak", Phase.CACHE, leak)).open() as leaking:
        await leaking.add(**{"name": "a", field: value})
        await leaking.call("counter.find", {"name": text})
        await leaking.call("counter.add", {"name": 7, "idempotency_key": text}, text)
        await leaking.flushed()
    connection = await asyncpg.connect(superuser)
    try:
        assert await connection.fetchval("SELECT count(*) FROM audit_logs") == 4
        held = await connection.fetchval(
            "SELECT count(*) FROM audit_logs r WHERE r::text LIKE '%' || $1 || '%'", CANARY
        )
    finally:
        await connection.close()
    assert held == 0


async def test_a_huge_value_is_kept_as_its_size_and_hash(gate: Gate, database: str) -> None:
    """A row stays small whatever is sent."""
    await gate.call("counter.find", {"name": "x", "list": ["y" * 1000] * 1000})
    await gate.call("counter.find", {"name": "z" * 100_000})
    await gate.flushed()
    many, long = await rows(database)
    assert set(msgspec.json.decode(many["arguments"])) == {"cut", "sha256"}
    assert msgspec.json.decode(long["arguments"])["name"].endswith("[cut: 100000 characters]")


# --- the chain ---


async def test_replicas_write_one_chain(database: str, upstream: Upstream) -> None:
    """Three gates at once over three tenants leave chains without a gap or a fork."""
    async with Gate(database, upstream.url).open() as a, Gate(database, upstream.url).open() as b:
        calls = [
            gate.call(tool, {"name": str(n)}, tenant=UUID(int=n % 3 + 1))
            for n in range(60)
            for gate in (a, b)
            for tool in ("counter.add", "counter.find")
        ]
        await asyncio.gather(*calls)
        await a.flushed()
        await b.flushed()
    assert await problems(database) == [None, None, None]
    assert sum([len(await rows(database, UUID(int=n))) for n in (1, 2, 3)]) == 360


HARM = {
    "edited": "UPDATE audit_logs SET outcome = 'forged' WHERE seq = 3",
    "edited json": 'UPDATE audit_logs SET arguments = \'{"name": "2"}\' WHERE seq = 3',
    "removed": "DELETE FROM audit_logs WHERE seq = 3",
    "reordered": "UPDATE audit_logs SET seq = -seq WHERE seq IN (3, 4); "
    "UPDATE audit_logs SET seq = seq + 7 WHERE seq < 0",
    "truncated": "DELETE FROM audit_logs WHERE seq >= 3",
    "truncated to nothing": "DELETE FROM audit_logs",
}


@pytest.mark.parametrize("harm", list(HARM))
async def test_harm_in_the_table_is_found(gate: Gate, database: str, superuser: str, harm: str) -> None:
    """What a superuser does to the rows behind the triggers' back is reported at the first row it touched."""
    for number in range(6):
        await gate.call("counter.find", {"name": str(number)})
    await gate.flushed()
    assert await problems(database) == [None]
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(f"SET session_replication_role = replica; {HARM[harm]}")
    finally:
        await connection.close()
    assert await problems(database) == [(1 if "nothing" in harm else 3, harm.split()[0])]


async def test_every_kind_of_value_keeps_its_hash(database: str) -> None:
    """What Postgres gives back is to the last bit what the hash was made over."""
    texts = ['{"a":1.0,"b":1e400,"a":2}', '"\\u0000 \\ud800 ü"', "[]", None]
    odd = [
        Record(
            tenant=UUID(int=1),
            kind="outcome",
            request_id="ü �",
            address=address,
            arguments=text,
            before=text,
            after=text,
            detail=text,
            duration_ms=number,
        )
        for text in texts
        for address in ("192.0.2.1", "2001:db8::1", None)
        for number in (0.1 + 0.2, 1e-300, 0.0, None)
    ]
    pool = await create_pool(database)
    try:
        async with pool.acquire() as connection, connection.transaction():
            heads, now = await lock_heads(connection, [UUID(int=1)])
            await append(connection, *chain(heads, odd, now))
    finally:
        await pool.close()
    assert await problems(database) == [None]


async def test_the_recorder_can_only_add(database: str) -> None:
    """The role the writer works as has no right to change or take away a row, trigger or no trigger."""
    connection = await asyncpg.connect(database)
    try:
        for right, has in {"SELECT": True, "INSERT": True, "UPDATE": False, "DELETE": False, "TRUNCATE": False}.items():
            query = "SELECT has_table_privilege('gatelodge_recorder', 'audit_logs', $1)"
            assert await connection.fetchval(query, right) is has
    finally:
        await connection.close()
