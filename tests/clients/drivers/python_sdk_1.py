"""The official Python SDK, 1.x."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from lines import PERSON, Setup, drive
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl


class Driven:
    def __init__(self, session: ClientSession, revision: str) -> None:
        self._session = session
        self._call: asyncio.Task[Any] | None = None
        self._id: types.RequestId = 0
        self.revision = revision

    async def list(self) -> dict[str, Any]:
        session = self._session
        return {
            "tools": [item.name for item in (await session.list_tools()).tools],
            "resources": [str(item.uri) for item in (await session.list_resources()).resources],
            "prompts": [item.name for item in (await session.list_prompts()).prompts],
        }

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"text": (await self._session.call_tool(name, arguments)).content[0].text}

    async def resource(self, uri: str) -> dict[str, Any]:
        return {"text": (await self._session.read_resource(AnyUrl(uri))).contents[0].text}

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return {"text": (await self._session.get_prompt(name, arguments)).messages[0].content.text}

    async def progress(self, name: str) -> dict[str, Any]:
        steps: list[float] = []

        async def step(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        await self._session.call_tool(name, {}, progress_callback=step)
        return {"steps": steps}

    async def begin(self, name: str) -> dict[str, Any]:
        self._id = self._session._request_id  # the id the next request gets; the SDK does not tell it otherwise
        self._call = asyncio.create_task(self._session.call_tool(name, {}))
        return {}

    async def cancel(self) -> dict[str, Any]:
        assert self._call is not None
        params = types.CancelledNotificationParams(requestId=self._id, reason="The user changed their mind")
        notification = types.CancelledNotification(method="notifications/cancelled", params=params)
        await self._session.send_notification(types.ClientNotification(notification))
        self._call.cancel()  # a cancelled request gets no response
        with suppress(asyncio.CancelledError):
            await self._call
        return {}


async def fill(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content=PERSON)


@asynccontextmanager
async def connect(setup: Setup) -> AsyncIterator[Driven]:
    doors = {
        "http": lambda: streamable_http_client(setup["url"]),
        "sse": lambda: sse_client(setup["url"]),
        "stdio": lambda: stdio_client(
            StdioServerParameters(command=setup["command"], args=setup["args"], env=setup["env"])
        ),
    }
    async with AsyncExitStack() as stack:
        read, write, *_ = await stack.enter_async_context(doors[setup["door"]]())
        session = await stack.enter_async_context(ClientSession(read, write, elicitation_callback=fill))
        yield Driven(session, str((await session.initialize()).protocolVersion))


drive(connect)
