"""Real clients, in their pinned versions, times doors, times what they can do.

What a client cannot do stands in one table, with the reason. Every message is recorded and checked by its schema.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from gatelodge_everything.plugin import EverythingPlugin

from gatelodge.testing import Cluster, OpenGatelodge

from ..governed import until
from ..installed import python_path
from ..npm import NODE, installed
from ..protocol.recording import Recording
from ..protocol.waiting import WaitingPlugin
from ..venvs import python_with
from .conftest import PACKAGE, listened_to
from .driver import DRIVERS, driven, typescript
from .inspector import Inspector

DOORS = ("http", "sse", "stdio")
MODERN = ("http", "stdio")
"""The doors that 2026-07-28 knows."""
STATELESS, SESSION = "2026-07-28", "2025-11-25"


class Client(Protocol):
    async def do(self, what: str, /, **arguments: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Way:
    """A client by a door. `mode` is for those that speak both eras; `revision` is what it must come to."""

    client: str
    door: str
    mode: str = "legacy"
    revision: str = SESSION

    def __str__(self) -> str:
        return f"{self.client}-{self.door}-{self.mode}"


WAYS = [
    *(Way(client, door) for client in ("python_sdk_2", "typescript", "fastmcp", "inspector") for door in DOORS),
    *(Way(client, door, "auto", STATELESS) for client in ("python_sdk_2", "typescript", "fastmcp") for door in MODERN),
    Way("inspector", "http", "auto", STATELESS),
    *(Way("python_sdk_1", door) for door in DOORS),
    *(Way("mcp_remote", door) for door in ("http", "sse")),
]
NOT_BY = {("mcp_remote", "stdio"): "it is a bridge from stdio to HTTP itself"}
CANNOT = {
    ("inspector", "progress"): "the CLI prints the result of a call, and nothing that comes before it",
    ("inspector", "cancel"): "a command waits for the answer to its one request, and takes no other on the way",
    ("inspector", "elicit"): "the CLI has nobody to ask, and says so in the capabilities it declares",
}
CLIENTS = {way.client for way in WAYS}


async def lists(client: Client) -> None:
    listed = await client.do("list")
    assert {"greet", "test_elicitation", "waiting.wait"} <= set(listed["tools"])
    assert "test://static-text" in listed["resources"]
    assert "test_prompt_with_arguments" in listed["prompts"]


async def call(client: Client) -> None:
    assert (await client.do("call", name="greet", arguments={"name": "Ada"}))["text"] == "Hello, Ada!"


async def resource(client: Client) -> None:
    read = await client.do("resource", uri="test://static-text")
    assert read["text"] == "This is the content of the static text resource."


async def prompt(client: Client) -> None:
    rendered = await client.do("prompt", name="test_prompt_with_arguments", arguments={"arg1": "a", "arg2": "b"})
    assert rendered["text"] == "Prompt with arguments: arg1='a', arg2='b'"


async def progress(client: Client) -> None:
    assert (await client.do("progress", name="test_tool_with_progress"))["steps"] == [0, 50, 100]


async def cancel(client: Client) -> None:
    """The call ends on the server, and the connection goes on."""
    await client.do("begin", name="waiting.wait")
    await until_it_is(client, "running")
    await client.do("cancel")
    await until_it_is(client, "cancelled")


async def until_it_is(client: Client, state: str) -> None:
    async def is_it() -> bool:
        return bool((await client.do("call", name="waiting.state", arguments={}))["text"] == state)

    await until(is_it)


async def elicit(client: Client) -> None:
    answer = await client.do("call", name="test_elicitation", arguments={"message": "Who are you?"})
    assert answer["text"].startswith("User response: action=accept")
    assert '"username":"Ada"' in answer["text"]


FEATURES: Mapping[str, Callable[[Client], Awaitable[None]]] = {
    "list": lists,
    "call": call,
    "resource": resource,
    "prompt": prompt,
    "progress": progress,
    "cancel": cancel,
    "elicit": elicit,
}


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_what_a_client_can_do(way: Way, connect: Callable[[Way], Any], recording: Recording) -> None:
    """Everything but what the table says, in the revision that this client and this server should agree on."""
    async with connect(way) as client:
        for name, feature in FEATURES.items():
            if (way.client, name) not in CANNOT:
                await asyncio.wait_for(feature(client), 120)
    spoken = {revision for revision, side, method in recording.finish().counted if method == "tools/call"}
    assert spoken == {way.revision}


def test_the_table_is_about_what_is_there() -> None:
    """Each client goes by each door, or says why not; and what one cannot do is one of the features."""
    by = {(way.client, way.door) for way in WAYS}
    assert {(client, door) for client in CLIENTS for door in DOORS} == by | NOT_BY.keys()
    assert by.isdisjoint(NOT_BY)
    assert CANNOT.keys() <= {(client, feature) for client in CLIENTS for feature in FEATURES}
    assert all([*NOT_BY.values(), *CANNOT.values()])


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[str]:
    """No story is told here."""
    async with cluster.fresh() as dsn:
        yield dsn


@pytest.fixture
async def setups(
    open_gatelodge: OpenGatelodge, database: str, recording: Recording, tmp_path: Path
) -> AsyncIterator[Callable[[Way], dict[str, Any]]]:
    """What a client has to know of the server to come by a door."""
    gate = await open_gatelodge(("everything", EverythingPlugin), ("waiting", WaitingPlugin))
    path = python_path(tmp_path / "plugins")
    env = {"DATABASE_URL": database, "PYTHONPATH": path, "GATELODGE_LOCAL_USER": "true"}
    command, *args = recording.tapped(sys.executable, "-m", "gatelodge", "stdio")

    def setup(way: Way) -> dict[str, Any]:
        url = f"{heard.url}/{'sse' if way.door == 'sse' else 'mcp'}"
        return {"door": way.door, "url": url, "command": command, "args": args, "env": env, "mode": way.mode}

    async with listened_to(gate, recording) as heard:
        yield setup


@pytest.fixture
def connect(
    setups: Callable[[Way], dict[str, Any]], tmp_path: Path
) -> Callable[[Way], AbstractAsyncContextManager[Client]]:
    """`async with connect(way) as client`."""
    starts: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
        "python_sdk_2": lambda: driven(sys.executable, str(DRIVERS / "python_sdk_2.py")),
        "python_sdk_1": lambda: driven(str(python_with(DRIVERS / "mcp-1.txt")), str(DRIVERS / "python_sdk_1.py")),
        "fastmcp": lambda: driven(str(python_with(DRIVERS / "fastmcp.txt")), str(DRIVERS / "fastmcp_client.py")),
        "mcp_remote": lambda: driven(sys.executable, str(DRIVERS / "python_sdk_2.py")),
        "typescript": lambda: typescript(installed(PACKAGE)),
    }

    @asynccontextmanager
    async def connect_one(way: Way) -> AsyncIterator[Client]:
        setup = setups(way)
        if way.client == "inspector":
            yield Inspector(await asyncio.to_thread(installed, DRIVERS / "package.json"), tmp_path, setup)
            return
        if way.client == "mcp_remote":
            setup |= await asyncio.to_thread(_through_mcp_remote, setup, tmp_path)
        async with await asyncio.to_thread(starts[way.client]) as client:
            answer = await client.ask(setup)
            assert answer == {"revision": way.revision}
            yield client

    return connect_one


def _through_mcp_remote(setup: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """It is started like a server on stdio, and goes on by HTTP itself."""
    proxy = installed(DRIVERS / "package.json") / "node_modules" / "mcp-remote" / "dist" / "proxy.js"
    args = [str(proxy), setup["url"], "--allow-http", "--transport", f"{setup['door']}-only"]
    return {"door": "stdio", "command": str(NODE), "args": args, "env": {"MCP_REMOTE_CONFIG_DIR": str(home)}}
