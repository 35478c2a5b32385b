"""The official Python client uses every feature, over every door, in both eras."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp import types
from mcp.client.sse import sse_client

from gatelodge.testing import Cluster, Gatelodge

from ..installed import python_path
from .waiting import WaitingPlugin

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = pytest.mark.parametrize(
    ("door", "mode"),
    [("http", "2026-07-28"), ("http", "legacy"), ("sse", "legacy"), ("stdio", "2026-07-28"), ("stdio", "legacy")],
)

Connect = Callable[..., AbstractAsyncContextManager[mcp.Client]]


class Person:
    """Answers whatever is asked, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def fill(self, context: Any, params: Any) -> types.ElicitResult:
        fields = getattr(params, "requested_schema", {}).get("properties", {})
        return types.ElicitResult(action="accept", content=dict.fromkeys(fields, "Ada"))

    async def think(self, context: Any, params: Any) -> types.CreateMessageResult:
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="Paris"), model="small"
        )

    async def roots(self, context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///work")])

    async def log(self, params: Any) -> None:
        self.told.append(params.data)

    async def hear(self, message: Any) -> None:
        self.told.append(message)


@pytest.fixture(scope="session")
def plugin_path(short_folder: Path) -> str:
    return python_path(short_folder / "plugins")


@pytest.fixture
def connect(gate: Gatelodge, cluster: Cluster, plugin_path: str) -> Connect:
    """`async with connect(door, mode, person) as client`."""

    @asynccontextmanager
    async def server(door: str) -> AsyncIterator[Any]:
        if door == "http":
            yield f"{gate.url}/mcp"
        elif door == "sse":
            yield sse_client(f"{gate.url}/sse")
        else:
            async with cluster.fresh() as database:
                env = {"DATABASE_URL": database, "PYTHONPATH": plugin_path, "GATELODGE_LOCAL_USER": "true"}
                yield mcp.StdioServerParameters(command=sys.executable, args=["-m", "gatelodge", "stdio"], env=env)

    @asynccontextmanager
    async def connect_one(door: str, mode: str, person: Person) -> AsyncIterator[mcp.Client]:
        async with (
            server(door) as target,
            mcp.Client(
                target,
                mode=mode,
                log_level="info" if mode != "legacy" else None,
                elicitation_callback=person.fill,
                sampling_callback=person.think,
                list_roots_callback=person.roots,
                logging_callback=person.log,
                message_handler=person.hear,
            ) as client,
        ):
            yield client

    return connect_one


def text(result: Any) -> str:
    return str(result.content[0].text)


@WAYS
async def test_every_feature(connect: Connect, door: str, mode: str) -> None:
    """Lists, calls, contents, resources, prompts, completion, progress, log lines and each kind of question."""
    person = Person()
    async with connect(door, mode, person) as client:
        assert {"greet", "test_sampling"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert text(await client.call_tool("greet", {"name": "Ada"})) == "Hello, Ada!"
        mixed = await client.call_tool("test_multiple_content_types")
        assert [block.type for block in mixed.content] == ["text", "image", "resource"]
        read = await client.read_resource("test://static-binary")
        assert base64.b64decode(read.contents[0].blob).startswith(b"\x89PNG")
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert "arg2='b'" in prompt.messages[0].content.text
        reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        completed = await client.complete(reference, {"name": "arg1", "value": "par"})
        assert completed.completion.values == ["paris", "park", "party"]

        steps: list[float] = []

        async def step(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        await client.call_tool("test_tool_with_progress", progress_callback=step)
        assert steps == [0, 50, 100]
        await client.call_tool("test_tool_with_logging")
        assert "Tool processing data" in person.told
        assert "Ada" in text(await client.call_tool("test_elicitation", {"message": "Who?"}))
        assert text(await client.call_tool("test_sampling", {"prompt": "Capital?"})) == "LLM response: Paris"
        assert text(await client.call_tool("test_input_required_result_list_roots")) == "Roots: file:///work"
        asked = await client.get_prompt("test_input_required_result_prompt")
        assert asked.messages[0].content.text == "Context: Ada"
        with pytest.raises(mcp.MCPError):
            await client.read_resource("test://nothing")


@pytest.mark.parametrize(("door", "mode"), [("http", "2026-07-28"), ("http", "legacy"), ("sse", "legacy")])
async def test_cancelling(connect: Connect, waiting: WaitingPlugin, door: str, mode: str) -> None:
    """A call that the client gives up stops on the server, and the connection goes on."""
    async with connect(door, mode, Person()) as client:
        call = asyncio.create_task(client.call_tool("waiting.wait"))
        await waiting.began.wait()
        call.cancel()
        await waiting.cancelled.wait()
        assert text(await client.call_tool("greet", {"name": "Ada"})) == "Hello, Ada!"


@WAYS
async def test_notices(connect: Connect, door: str, mode: str) -> None:
    """A changed resource is told of: by a subscription of the session, or to a listener."""
    person = Person()
    async with connect(door, mode, person) as client:
        uri = "test://watched-resource"
        if mode != "legacy":
            async with client.listen(resource_subscriptions=[uri]) as changes:
                await client.call_tool("test_update_resource")
                assert (await anext(aiter(changes))).uri == uri
            return
        with pytest.warns(mcp.MCPDeprecationWarning):
            await client.subscribe_resource(uri)
        while not any(isinstance(item, types.ResourceUpdatedNotification) for item in person.told):
            await client.call_tool("test_update_resource")
