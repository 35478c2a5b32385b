"""Postgres gone, frozen, crashed: no record, no write; nothing acknowledged is lost; recovery needs no restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from gatelodge.testing import Cluster

from ..governed import Gate, Upstream, rows, until
from .test_audit import problems

PATIENCE = {"GATELODGE_AUDIT_PATIENCE": "0.5"}
LET_GO = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


def server(cluster_folder: Path) -> list[int]:
    """The processes of the worker's Postgres, its parent first."""
    parent = (cluster_folder / "postgres" / "postmaster.pid").read_text().split()[0]
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(parent), *(int(pid) for pid, ppid in pairs if ppid == parent)]


@contextmanager
def frozen(cluster_folder: Path) -> Iterator[None]:
    """Every process of Postgres stopped: connections stay open, and nothing answers."""
    pids = server(cluster_folder)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def folder(cluster: Cluster, short_folder: Path) -> Path:
    return short_folder / "cluster"


async def until_refused(gate: Gate) -> None:
    async def refused() -> bool:
        return (await gate.add("tried")).outcome == "disabled"

    await until(refused)


async def until_taken(gate: Gate) -> None:
    async def taken() -> bool:
        return (await gate.add("again")).outcome == "ok"

    await until(taken)


async def close_database(cluster: Cluster, name: str) -> None:
    await cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", LET_GO.format(name))


async def open_database(cluster: Cluster, name: str) -> None:
    await cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize(("reads", "code"), [("require", "disabled"), ("best_effort", "ok")])
async def test_without_postgres_writes_are_refused(
    cluster: Cluster, database: str, upstream: Upstream, reads: str, code: str
) -> None:
    """With a time to come back at; reads follow their setting; health tells; and all is well again by itself."""
    name = database.partition("/test_")[2].partition("?")[0]
    async with Gate(database, upstream.url, **PATIENCE, GATELODGE_AUDIT_READS=reads).open() as gate:
        assert (await gate.add("a")).outcome == "ok"
        await close_database(cluster, f"test_{name}")
        try:
            await until_refused(gate)
            done = len(upstream.effects)
            refused = await gate.add("b", "k")
            assert refused.error is not None
            assert (refused.outcome, refused.error.status) == ("disabled", 503)
            assert refused.error.retry_after is not None
            assert (await gate.call("counter.find", {"name": "a"})).outcome == code
            assert len(upstream.effects) == done
            (health,) = gate.audit.gatelodge_health()
            with pytest.raises(ConnectionError):
                await health.check()
            assert gate.writer.counts.refused > 1
        finally:
            await open_database(cluster, f"test_{name}")
        await until_taken(gate)
        await gate.flushed()
        assert "written" in await health.check()
    outcomes = [row["outcome"] for row in await rows(database)]
    assert outcomes.count("ok") == len(upstream.effects) + (reads == "best_effort")
    assert await problems(database) == [None]


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION full_disk()"""


async def test_a_full_disk_refuses_writes(
    database: str, upstream: Upstream, superuser: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres that is there and has no room is as good as none; with room again all goes on by itself, nothing lost.

    The log says once what is wrong and what to see to, and once that it is over.
    """
    connection = await asyncpg.connect(superuser)
    async with Gate(database, upstream.url, **PATIENCE).open() as gate:
        assert (await gate.add("a")).outcome == "ok"
        await connection.execute(FULL)
        await until_refused(gate)
        assert (await gate.call("counter.find", {"name": "a"})).outcome == "disabled"
        (health,) = gate.audit.gatelodge_health()
        with pytest.raises(ConnectionError):
            await health.check()
        assert upstream.effects == ["a"]
        await connection.execute("DROP TRIGGER full_disk ON audit_logs")
        await until_taken(gate)
        await gate.flushed()
    await connection.close()
    failed, over = [record for record in caplog.records if record.name == "gatelodge.audit.writer"]
    assert "has room on its disk" in failed.message
    assert vars(failed)["reason"] == "could not extend file: No space left on device"
    assert over.message == "audit is written again"
    assert await problems(database) == [None]
    assert await unanswered(database) == 0


async def test_an_outcome_waits_for_postgres(cluster: Cluster, database: str, upstream: Upstream) -> None:
    """A write under way when Postgres goes is not said to be well before its row is written; and its row is written."""
    name = "test_" + database.partition("/test_")[2].partition("?")[0]
    async with Gate(database, upstream.url, **PATIENCE).open() as gate:
        call = asyncio.create_task(gate.add("a", "k", mode="hold"))
        await upstream.reached.wait()
        await close_database(cluster, name)
        try:
            upstream.released.set()
            result = await call
            assert result.outcome == "outcome_unknown"
            assert result.error is not None
            assert result.error.details["result"] == {"number": 1}
        finally:
            await open_database(cluster, name)
        await gate.flushed()
        again = await gate.add("a", "k", mode="hold")
        assert (again.replayed, again.structured) == (True, {"number": 1})
    assert [(row["kind"], row["outcome"]) for row in await rows(database)][:2] == [("intent", None), ("outcome", "ok")]
    assert upstream.effects == ["a"]


async def test_a_frozen_postgres_refuses_in_time(
    folder: Path, database: str, upstream: Upstream, superuser: str
) -> None:
    """A server that holds its connections and does not answer is found out; what was cut off is taken back."""
    async with Gate(database, upstream.url, **PATIENCE).open() as gate:
        await gate.add("a", "k1")
        with frozen(folder):
            results = await asyncio.gather(*(gate.add("b", f"f{n}") for n in range(5)))
            assert {result.outcome for result in results} == {"disabled"}
        await until_taken(gate)
        assert [(await gate.add("b", f"f{n}")).outcome for n in range(5)] == ["ok"] * 5
        await gate.flushed()
    assert upstream.effects.count("b") == 5
    assert await problems(database) == [None]
    assert await unanswered(database) == 0


async def test_a_retry_does_not_wait_for_a_frozen_postgres(folder: Path, database: str, upstream: Upstream) -> None:
    """Who waits for a call under the same key is refused in time, the call ends as it would, and nothing needs a restart."""
    settings = {**PATIENCE, "GATELODGE_IDEMPOTENCY_WAIT": "30", "GATELODGE_IDEMPOTENCY_LEASE": "3"}
    async with Gate(database, upstream.url, **settings).open() as gate:
        first = asyncio.create_task(gate.add("a", "k", mode="hold"))
        await upstream.reached.wait()
        retries = [asyncio.create_task(gate.add("a", "k", mode="hold")) for _ in range(3)]
        await asyncio.sleep(0.3)
        with frozen(folder):
            async with asyncio.timeout(15):  # a statement alone may take 30 s, and its cancellation as long again
                assert {(await retry).outcome for retry in retries} == {"disabled"}
        await until_taken(gate)
        upstream.released.set()
        assert (await first).outcome == "ok"
        assert (await gate.add("a", "k", mode="hold")).replayed
        await gate.flushed()
    assert upstream.effects.count("a") == 1
    assert await problems(database) == [None]


async def kill_a_backend(database: str) -> None:
    """One that is still there: a pool may close its connections at any moment."""
    while True:
        try:
            os.kill(await backend(database), signal.SIGKILL)
        except ProcessLookupError:
            continue
        return


async def test_a_crash_of_postgres_under_load_loses_nothing(folder: Path, database: str, upstream: Upstream) -> None:
    """A backend killed with -9 takes all of them down; every call that was acknowledged is in the book afterwards."""
    async with Gate(database, upstream.url, **PATIENCE).open() as gate:
        acknowledged: list[str] = []

        async def call(number: int) -> None:
            for turn in range(10):
                name = f"{number}-{turn}"
                if (await gate.add(name, name, request_id=name)).outcome == "ok":
                    acknowledged.append(name)
                await asyncio.sleep(0.02)

        calls = asyncio.gather(*(call(number) for number in range(8)))
        await asyncio.sleep(0.1)
        await kill_a_backend(database)
        await calls
        await until_taken(gate)
        await gate.flushed()
    written = {row["request_id"] for row in await rows(database) if (row["kind"], row["outcome"]) == ("outcome", "ok")}
    assert acknowledged
    assert set(acknowledged) <= written
    assert max(upstream.effects.count(name) for name in upstream.effects if name != "again") == 1
    assert await problems(database) == [None]


async def test_a_full_queue_refuses_reads_or_drops_their_rows(folder: Path, database: str, upstream: Upstream) -> None:
    """Memory is bounded: what is not refused and cannot be kept is counted."""
    settings = {**PATIENCE, "GATELODGE_AUDIT_QUEUE": "10"}
    async with (
        Gate(database, upstream.url, **settings).open() as strict,
        Gate(database, upstream.url, **settings, GATELODGE_AUDIT_READS="best_effort").open() as lenient,
    ):
        upstream.effects.append("a")
        with frozen(folder):
            required = [(await strict.call("counter.find", {"name": "a"})).outcome for _ in range(30)]
            best_effort = [(await lenient.call("counter.find", {"name": "a"})).outcome for _ in range(30)]
        assert set(required) == {"ok", "disabled"}
        assert set(best_effort) == {"ok"}
        assert lenient.writer.counts.dropped > 0
        await strict.flushed()
        await lenient.flushed()


async def test_a_row_that_postgres_refuses_holds_up_no_other(gate: Gate, database: str) -> None:
    """One bad row among many is given up and counted; the others are written."""
    await asyncio.gather(
        *(gate.call("counter.find", {"name": str(n)}, request_id="bad\0" if n == 7 else "good") for n in range(20))
    )
    await gate.flushed()
    assert len(await rows(database)) == 19
    assert gate.writer.counts.dropped == 1


async def backend(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
    finally:
        connection.terminate()


async def unanswered(dsn: str) -> int:
    """Intents without an outcome."""
    found = await rows(dsn)
    return [row["kind"] for row in found].count("intent") - [row["kind"] for row in found].count("outcome")
