"""HTTP+SSE and stdio: both eras down one pipe, questions, notices and cancelling included."""

from __future__ import annotations

import pytest

from gatelodge.testing import Gatelodge

from .pipes import StdioWire, call, opened
from .schema import STATELESS
from .waiting import WaitingPlugin

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOORS = pytest.mark.parametrize("door", ["sse", "stdio"])
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@DOORS
@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_a_session(gate: Gatelodge, door: str, revision: str) -> None:
    """Lists, calls, progress, log lines, questions and notices, all down the one pipe."""
    async with opened(gate, door) as client:
        await client.initialize(revision)
        assert any(tool["name"] == "greet" for tool in (await client.ask("tools/list", {}))["tools"])
        await client.ask("tools/call", call("test_tool_with_progress", {"progressToken": 1}))
        assert [message["params"]["progress"] for message in client.heard] == [0, 50, 100]
        asked = await client.ask("tools/call", call("test_input_required_result_sampling"))
        assert asked["content"][0]["text"] == "Paris"
        await client.ask("resources/subscribe", {"uri": "test://watched-resource"})
        await client.ask("tools/call", call("test_update_resource"))
        if "notifications/resources/updated" not in [message["method"] for message in client.heard]:
            assert (await client.next())["method"] == "notifications/resources/updated"


@DOORS
async def test_stateless_requests(gate: Gatelodge, door: str) -> None:
    """A pipe serves the newest revision too, without a handshake; listening shares it with everything else."""
    async with opened(gate, door) as client:
        assert STATELESS in (await client.ask("server/discover", {}))["supportedVersions"]
        assert (await client.ask("tools/call", call("greet", name="Ada")))["content"][0]["text"] == "Hello, Ada!"
        first = await client.ask("tools/call", call("test_input_required_result_elicitation"))
        assert list(first["inputRequests"]) == ["user_name"]
        listening = await client.begin("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        assert (await client.next())["params"]["_meta"][SUBSCRIPTION] == listening
        await client.ask("tools/call", call("test_trigger_tool_change"))
        if not client.heard:
            client.heard.append(await client.next())
        assert client.heard[0]["method"] == "notifications/tools/list_changed"
        await client.cancel(listening)
        assert (await client.ask("tools/call", call("greet", name="Ada")))["resultType"] == "complete"


@DOORS
async def test_cancelling(gate: Gatelodge, waiting: WaitingPlugin, door: str) -> None:
    """A cancelled request is never answered, and others are not kept waiting by it."""
    async with opened(gate, door) as client:
        await client.initialize("2025-11-25")
        waits = await client.begin("tools/call", call("waiting.wait"))
        await waiting.began.wait()
        await client.cancel(waits)
        await waiting.cancelled.wait()
        assert await client.ask("ping", {}) == {}
        assert client.heard == []


@DOORS
async def test_the_end_of_a_pipe_cancels_what_runs(gate: Gatelodge, waiting: WaitingPlugin, door: str) -> None:
    """Nothing goes on for a client that is gone."""
    async with opened(gate, door) as client:
        await client.initialize("2025-11-25")
        await client.begin("tools/call", call("waiting.wait"))
        await waiting.began.wait()
    await waiting.cancelled.wait()


async def test_what_comes_down_stdio_is_answered_line_by_line(gate: Gatelodge) -> None:
    """Nonsense is refused, and the next line is read all the same."""
    async with opened(gate, "stdio") as client:
        wire = client._wire
        assert isinstance(wire, StdioWire)
        for line, code in ((b"{", -32700), (b"[]", -32600), (b"7", -32600), (b'{"jsonrpc":"2.0","id":1}', -32600)):
            wire.reader.feed_data(line + b"\n")
            assert (await wire.receive())["error"]["code"] == code
        assert await client.ask("server/discover", {})
