"""The official Python SDK, 2.x."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from lines import PERSON, Setup, drive
from mcp import Client, StdioServerParameters, types
from mcp.client.sse import sse_client


class Driven:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._call: asyncio.Task[Any] | None = None

    @property
    def revision(self) -> str:
        return str(self._client.protocol_version)

    async def list(self) -> dict[str, Any]:
        client = self._client
        return {
            "tools": [item.name for item in (await client.list_tools()).tools],
            "resources": [item.uri for item in (await client.list_resources()).resources],
            "prompts": [item.name for item in (await client.list_prompts()).prompts],
        }

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"text": (await self._client.call_tool(name, arguments)).content[0].text}

    async def resource(self, uri: str) -> dict[str, Any]:
        return {"text": (await self._client.read_resource(uri)).contents[0].text}

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return {"text": (await self._client.get_prompt(name, arguments)).messages[0].content.text}

    async def progress(self, name: str) -> dict[str, Any]:
        steps: list[float] = []

        async def step(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        await self._client.call_tool(name, {}, progress_callback=step)
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


async def fill(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content=PERSON)


@asynccontextmanager
async def connect(setup: Setup) -> AsyncIterator[Driven]:
    targets = {
        "http": lambda: setup["url"],
        "sse": lambda: sse_client(setup["url"]),
        "stdio": lambda: StdioServerParameters(command=setup["command"], args=setup["args"], env=setup["env"]),
    }
    async with Client(targets[setup["door"]](), mode=setup["mode"], elicitation_callback=fill) as client:
        yield Driven(client)


drive(connect)
