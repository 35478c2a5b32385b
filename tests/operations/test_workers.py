"""`gatelodge serve --workers`: refused where state is not shared, kept alive, replaced without a failed call."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from .processes import BOUND, Served, command, serving

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


def _workers(served: Served) -> set[int]:
    pid = served.process.pid
    return {int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not condition():  # noqa: ASYNC110 other processes set no event of ours
            await asyncio.sleep(0.05)


def _any_alive(pids: set[int]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


async def _call(url: str) -> int:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        body = {"name": "jira.get_issue", "arguments": {"issue_key": "OPS-1"}}
        async with session.post(f"{url}/tools/invoke", json=body) as reply:
            return reply.status


async def _call_until(url: str, stopped: asyncio.Event) -> list[int]:
    statuses = []
    while not stopped.is_set():
        statuses.append(await _call(url))
    return statuses


@pytest.mark.parametrize(
    ("settings", "code"),
    [({}, "DATABASE_URL"), ({"DATABASE_URL": UNREACHABLE}, "GATELODGE_WORKERS_WITHOUT_REDIS")],
)
async def test_workers_that_share_nothing_are_refused(settings: dict[str, str], code: str) -> None:
    """Several workers need one Postgres, and one Redis unless the operator accepts limits for each."""
    status, _, said = await command("serve", "--workers", "2", **settings)
    assert status == 2
    assert code in said


async def test_a_worker_that_cannot_start_ends_all() -> None:
    """The worker's own line says why, and nothing is left running."""
    settings = {"DATABASE_URL": UNREACHABLE, "GATELODGE_WORKERS_WITHOUT_REDIS": "true"}
    status, out, said = await command("serve", "--workers", "2", **settings)
    assert (status, out) == (2, "")
    assert "Postgres at" in said
    assert "a worker did not start" in said


async def test_workers_are_replaced_and_kept_without_a_failed_call(database: str, valkey: str) -> None:
    """SIGHUP replaces each worker and a killed one comes back, while calls go on; SIGTERM ends all."""
    settings = {"DATABASE_URL": database, "REDIS_URL": valkey, "RATE_LIMIT_DEFAULT": "100000"}
    async with serving("--workers", "2", MCP_RATE_LIMIT_ENABLED="false", **settings) as served:
        first = _workers(served)
        assert len(first) == 2
        stopped = asyncio.Event()
        calls = [asyncio.create_task(_call_until(served.url, stopped)) for _ in range(4)]
        served.process.send_signal(signal.SIGHUP)
        await _until(lambda: len(_workers(served)) == 2 and not _workers(served) & first)
        stopped.set()
        assert {status for statuses in await asyncio.gather(*calls) for status in statuses} == {200}
        killed = _workers(served).pop()
        os.kill(killed, signal.SIGKILL)
        await _until(lambda: len(_workers(served)) == 2 and killed not in _workers(served))
        left = _workers(served)
        assert await served.stop() == 0
    assert not _any_alive(left)


async def _scraped(url: str) -> dict[str, Metric]:
    """The metrics as text, by a connection of their own, so that any worker may answer."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"{url}/metrics") as reply:
        return {family.name: family for family in text_string_to_metric_families(await reply.text())}


async def test_any_worker_answers_the_metrics_of_all(database: str, valkey: str) -> None:
    """By worker, in each scrape the same, in JSON as one sum, and also once the workers were replaced."""
    async with serving("--workers", "2", DATABASE_URL=database, REDIS_URL=valkey) as served:
        for _ in range(12):
            assert await _call(served.url) == 200
        for _ in range(8):
            found = await _scraped(served.url)
            calls = [s for s in found["gatelodge_calls"].samples if s.labels.get("name") == "jira.get_issue"]
            assert sum(sample.value for sample in calls) == 12
            assert {sample.labels["worker"] for sample in found["gatelodge_info"].samples} == {"0", "1"}
        states = {sample.labels["state"]: sample.value for sample in found["gatelodge_workers"].samples}
        assert states == {"answering": 2, "silent": 0}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{served.url}/metrics", headers={"Accept": "application/json"}) as reply,
        ):
            assert (await reply.json())["metrics"]["mcp.jira.tool.invocations"]["total"] == 12
        first = _workers(served)
        served.process.send_signal(signal.SIGHUP)
        await _until(lambda: len(_workers(served)) == 2 and not _workers(served) & first)
        assert len((await _scraped(served.url))["gatelodge_info"].samples) == 2
        killed = _workers(served).pop()
        os.kill(killed, signal.SIGKILL)
        states = {s.labels["state"]: s.value for s in (await _scraped(served.url))["gatelodge_workers"].samples}
        assert states["silent"] == 0
        assert await served.stop() == 0


async def test_workers_do_not_outlive_their_parent(database: str, valkey: str) -> None:
    """A parent that is killed takes its workers with it, and they drain as ever."""
    async with serving("--workers", "2", DATABASE_URL=database, REDIS_URL=valkey) as served:
        workers = _workers(served)
        served.process.kill()
        await _until(lambda: not _any_alive(workers))
