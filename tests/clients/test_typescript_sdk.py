"""The official TypeScript client, on Node from a wheel, calls all fourteen tools over every door."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ..npm import NODE
from .conftest import World
from .walk import TOOLS, walk

BRIDGE = Path(__file__).with_name("bridge.mjs")


class Bridge:
    """The client in its Node process, a JSON line for each call."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        line = await self._process.stdout.readline()
        assert line, "the client has ended"
        return dict(json.loads(line))

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = await self.ask({"name": name, "arguments": arguments})
        assert not answer.get("isError", True), answer
        assert json.loads(answer["text"]) == answer["structuredContent"]
        return dict(answer["structuredContent"])


@asynccontextmanager
async def bridge(packages: Path) -> AsyncIterator[Bridge]:
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(BRIDGE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "MODULES": str(packages)},
        limit=2**24,
    )
    try:
        yield Bridge(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("door", ["http", "sse", "stdio"])
async def test_all_tools(world: World, node_packages: Path, door: str, mode: str) -> None:
    """Over Streamable HTTP, HTTP+SSE and stdio, by the initialize handshake and by negotiation."""
    command, args, env = world.stdio
    path = "/sse" if door == "sse" else "/mcp"
    setup = {"door": door, "url": world.gate.url + path, "command": command, "args": args, "env": env, "mode": mode}
    async with bridge(node_packages) as client:
        listed = await client.ask(setup)
        assert set(listed["tools"]) == TOOLS
        await walk(client.call, world)
