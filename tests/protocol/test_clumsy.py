"""A plugin whose result has no form on the wire: each door says that the server failed, and none goes silent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from gatelodge_everything.plugin import EverythingPlugin

from gatelodge import Call, Message, Prompt, Result, hookimpl
from gatelodge.testing import Gatelodge, OpenGatelodge

from .pipes import call, opened
from .schema import SESSIONS
from .speaker import Speaker, answers


class ClumsyPlugin:
    """Its prompt holds what is no content."""

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return (Prompt(name="clumsy", title="Clumsy", description="Has no form.", handler=self.render),)

    async def render(self, call: Call) -> Result:
        wrong: Any = "a string is no content"
        return Result(content=(Message("user", wrong),))


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    return await open_gatelodge(("clumsy", ClumsyPlugin), ("everything", EverythingPlugin))


@pytest.mark.parametrize("revision", SESSIONS)
async def test_a_session_is_told(gate: Gatelodge, revision: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the code of an internal error and the id that the log has it under; the session goes on."""
    client = await Speaker(gate.session, gate.url, revision, respond=answers).open()
    async with asyncio.timeout(30):
        error = (await client.ask("prompts/get", {"name": "clumsy"})).error
    assert error["code"] == -32603
    (line,) = (record for record in caplog.records if record.exc_info)
    assert error["data"]["request_id"] == vars(line)["request_id"]
    assert (await client.call("greet", name="Ada")).result["content"][0]["text"] == "Hello, Ada!"


@pytest.mark.parametrize("door", ["sse", "stdio"])
async def test_a_pipe_is_told(gate: Gatelodge, door: str) -> None:
    """The same down a pipe."""
    async with opened(gate, door) as client, asyncio.timeout(30):
        await client.initialize("2025-11-25")
        id = await client.begin("prompts/get", {"name": "clumsy"})
        while (message := await client.next()).get("id") != id:
            pass
        assert message["error"]["code"] == -32603
        assert (await client.ask("tools/call", call("greet", name="Ada")))["content"][0]["text"] == "Hello, Ada!"
