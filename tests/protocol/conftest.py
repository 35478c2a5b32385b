"""A running server with the everything plugin, and clients of every revision to speak with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest_asyncio
from gatelodge_everything.plugin import EverythingPlugin

from gatelodge.application import open_server
from gatelodge.listening import listening
from gatelodge.testing import DEFAULTS, Cluster, Gatelodge

from .recording import Recording
from .speaker import Speaker, answers
from .waiting import WaitingPlugin

Speak = Callable[..., Awaitable[Speaker]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def waiting() -> WaitingPlugin:
    return WaitingPlugin()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gate(cluster: Cluster, waiting: WaitingPlugin) -> AsyncIterator[Gatelodge]:
    """One server for all tests of a worker: they share nothing but the lists."""
    async with cluster.fresh() as database:
        variables = {**DEFAULTS, "DATABASE_URL": database, "MCP_RATE_LIMIT_ENABLED": "false"}
        async with (
            open_server(variables, extra_plugins=[("everything", EverythingPlugin), ("waiting", waiting)]) as server,
            listening(server) as urls,
            aiohttp.ClientSession() as session,
        ):
            yield Gatelodge(server, urls, session)


@pytest_asyncio.fixture(loop_scope="session")
async def speak(gate: Gatelodge, tmp_path: Path) -> AsyncIterator[Speak]:
    """`await speak(revision, capabilities=…, respond=…)`: a client that has shaken hands.

    Whatever the server says is checked by the schema, also where a test reads it raw; what a client says may be wrong on
    purpose.
    """
    recording = Recording(tmp_path)
    async with aiohttp.ClientSession() as http, recording.proxied(gate.url) as url:

        async def speak_one(revision: str, **options: object) -> Speaker:
            options.setdefault("respond", answers)
            return await Speaker(http, url, revision, **options).open()  # type: ignore[arg-type]

        yield speak_one
    assert [line for line in recording.transcript.violations if line.startswith("server")] == []
