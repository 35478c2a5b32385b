"""fastmcp's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from lines import PERSON, Setup, drive


class Driven:
    def __init__(self, client: Client[Any]) -> None:
        self._client = client
        self._call: asyncio.Task[Any] | None = None

    @property
    def revision(self) -> str:
        return str(self._client.protocol_version)

    async def list(self) -> dict[str, Any]:
        client = self._client
        return {
            "tools": [item.name for item in await client.list_tools()],
            "resources": [str(item.uri) for item in await client.list_resources()],
            "prompts": [item.name for item in await client.list_prompts()],
        }

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"text": (await self._client.call_tool(name, arguments)).content[0].text}

    async def resource(self, uri: str) -> dict[str, Any]:
        return {"text": (await self._client.read_resource(uri))[0].text}

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return {"text": (await self._client.get_prompt(name, arguments)).messages[0].content.text}

    async def progress(self, name: str) -> dict[str, Any]:
        steps: list[float] = []

        async def step(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        await self._client.call_tool(name, {}, progress_handler=step)
        return {"steps": steps}

    async def begin(self, name: str) -> dict[str, Any]:
        self._call = asyncio.create_task(self._client.call_tool(name, {}))
        return {}

    async def cancel(self) -> dict[str, Any]:
        assert self._call is not None
        self._call.cancel()
        with suppress(asyncio.CancelledError):
            await self._call
        return {}


async def fill(message: str, response_type: Any, params: Any, context: Any) -> dict[str, str]:
    return PERSON


@asynccontextmanager
async def connect(setup: Setup) -> AsyncIterator[Driven]:
    transports = {
        "http": lambda: StreamableHttpTransport(setup["url"]),
        "sse": lambda: SSETransport(setup["url"]),
        "stdio": lambda: StdioTransport(setup["command"], setup["args"], env=setup["env"], keep_alive=False),
    }
    async with Client(transports[setup["door"]](), mode=setup["mode"], elicitation_handler=fill) as client:
        yield Driven(client)


drive(connect)
