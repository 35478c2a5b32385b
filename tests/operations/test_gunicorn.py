"""The guides' production form: gunicorn with aiohttp's worker, as real processes."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..governed import until
from .processes import BOUND, variables

LISTENING = re.compile(r"Listening at: (https?://\S+)")
WORKER = ("--worker-class", "aiohttp.GunicornWebWorker")
GONE = (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@dataclass(slots=True)
class Gunicorn:
    """A running gunicorn, and what it says on stderr."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def heard(self, pattern: re.Pattern[str]) -> str:
        """The first group of the first line that matches, however long ago it was said."""
        assert self.process.stderr is not None
        for line in self.said:
            if found := pattern.search(line):
                return found[1]
        async with asyncio.timeout(BOUND):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line)
                if found := pattern.search(line):
                    return found[1]
        raise AssertionError("".join(self.said))

    async def ended(self) -> tuple[int, str]:
        """Its exit status and all it said."""
        _, rest = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, "".join(self.said) + rest.decode()


@asynccontextmanager
async def gunicorn(listener: str, *options: str, bind: str = "127.0.0.1:0", **settings: str) -> AsyncIterator[Gunicorn]:
    """gunicorn with two workers; killed at the end where it still runs."""
    command = ("-m", "gunicorn", f"gatelodge.gunicorn:{listener}", *WORKER, "--workers", "2", "--bind", bind)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--no-control-socket", *options),
        env=variables(**settings),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Gunicorn(process)
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(BOUND):
                await process.communicate()


async def ready(url: str) -> None:
    """Until a worker answers that it is ready."""
    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health/ready") as reply:
                    if reply.status == 200:
                        return
            except GONE:
                pass
            await asyncio.sleep(0.1)


async def call_until_refused(url: str, caller: int) -> set[str]:
    """Idempotency keys of the writes that were answered, each on a connection of its own."""
    answered: set[str] = set()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        for number in range(10_000):
            key = f"{caller}-{number}"
            arguments = {"project_key": "OPS", "issue_type": "Task", "summary": key, "idempotency_key": key}
            body = {"name": "jira.create_issue", "arguments": arguments}
            try:
                async with session.post(f"{url}/tools/invoke", json=body) as reply:
                    await reply.read()
                    assert reply.status == 200
            except GONE:
                break
            answered.add(key)
    return answered


async def test_each_listener_is_served_by_its_name(database: str, valkey: str) -> None:
    """`jira` has the Jira plugin alone, over all workers, whose metrics are told together."""
    async with gunicorn("jira", DATABASE_URL=database, REDIS_URL=valkey) as served, aiohttp.ClientSession() as session:
        url = await served.heard(LISTENING)
        await ready(url)
        async with session.get(f"{url}/tools") as reply:
            assert {tool["name"].partition(".")[0] for tool in (await reply.json())["tools"]} == {"jira"}

        async def workers() -> set[str]:
            async with session.get(f"{url}/metrics") as reply:
                families = text_string_to_metric_families(await reply.text())
                return {s.labels["worker"] for each in families if each.name == "gatelodge_info" for s in each.samples}

        async def both() -> bool:
            return await workers() == {"0", "1"}

        async with asyncio.timeout(BOUND):
            await until(both)


async def test_a_reload_and_a_stop_lose_no_call_and_no_audit_row(database: str, valkey: str) -> None:
    """SIGHUP replaces the workers and SIGTERM ends them; each write that began is answered and has both rows."""
    settings = {"DATABASE_URL": database, "REDIS_URL": valkey, "MCP_RATE_LIMIT_ENABLED": "false"}
    async with gunicorn("hub", "--graceful-timeout", "60", "--timeout", "60", **settings) as served:
        url = await served.heard(LISTENING)
        await ready(url)
        callers = [asyncio.create_task(call_until_refused(url, number)) for number in range(4)]
        await asyncio.sleep(1)
        served.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(5)
        assert not any(caller.done() for caller in callers)
        served.process.send_signal(signal.SIGTERM)
        status, said = await served.ended()
        answered = {key for keys in await asyncio.gather(*callers) for key in keys}
    assert status == 0, said
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT idempotency_key, kind FROM audit_logs WHERE tool = 'jira.create_issue'")
    await connection.close()
    assert len(answered) > len(callers)
    assert {row["idempotency_key"] for row in rows if row["kind"] == "intent"} == answered
    assert {row["idempotency_key"] for row in rows if row["kind"] == "outcome"} == answered


@pytest.mark.parametrize(
    ("listener", "bind", "settings", "sentence"),
    [
        ("hub", "127.0.0.1:0", {"REDIS_URL": ""}, "GATELODGE_WORKERS_WITHOUT_REDIS"),
        ("hub", "127.0.0.1:0", {"DATABASE_URL": ""}, "set DATABASE_URL"),
        ("hub", "0.0.0.0:0", {"GATELODGE_HOST": "127.0.0.1"}, "0.0.0.0 is a public address"),
        ("hub", "[::]:0", {}, ":: is a public address"),
        ("hub", "127.0.0.1:0", {"GATELODGE_TLS_CERT": "c.pem"}, "--certfile"),
        ("hub", "127.0.0.1:0", {"GATELODGE_WORKERS": "3"}, "--workers"),
        ("hub", "127.0.0.1:0", {"GATELODGE_HOSTT": "x"}, "GATELODGE_HOSTT is not a setting"),
        ("made_up", "127.0.0.1:0", {}, "there are hub, jira, sql"),
    ],
)
async def test_what_cannot_be_served_stops_gunicorn(
    database: str, valkey: str, listener: str, bind: str, settings: dict[str, str], sentence: str
) -> None:
    """With one line that says what to change, and not by trying again and again."""
    given = {"DATABASE_URL": database, "REDIS_URL": valkey, **settings}
    # One worker, because gunicorn 27 trips over two that fail at once, and ends with a traceback of its own.
    async with gunicorn(listener, "--workers", "1", bind=bind, **given) as served, asyncio.timeout(BOUND):
        status, said = await served.ended()
    assert status == 3, said
    assert sentence in said
    assert "Traceback" not in said


async def test_a_public_address_is_served_to_who_has_a_key(database: str, valkey: str) -> None:
    """What gunicorn binds decides, so nobody is a local user there."""
    settings = {"DATABASE_URL": database, "REDIS_URL": valkey, "MCP_API_KEY": "a-key-that-is-long-enough"}
    async with gunicorn("sql", bind="0.0.0.0:0", **settings) as served, aiohttp.ClientSession() as session:
        url = (await served.heard(LISTENING)).replace("0.0.0.0", "127.0.0.1")
        await ready(url)
        async with session.get(f"{url}/tools") as reply:
            assert reply.status == 401
        async with session.get(f"{url}/tools", headers={"X-API-Key": settings["MCP_API_KEY"]}) as reply:
            assert reply.status == 200
