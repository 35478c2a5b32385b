"""A client in a process of its own, driven by JSON lines; see drivers/lines.py for what they say."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ..npm import NODE

DRIVERS = Path(__file__).with_name("drivers")


class Driver:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        line = await self._process.stdout.readline()
        assert line, "the client has ended"
        return dict(json.loads(line))

    async def do(self, what: str, /, **arguments: Any) -> dict[str, Any]:
        """What came of it, which is no failure."""
        answer = await self.ask({"do": what, **arguments})
        assert "thrown" not in answer, answer
        return answer

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The structured result of a tool, of a client that shows such."""
        answer = await self.do("call", name=name, arguments=arguments)
        assert not answer["isError"], answer
        assert json.loads(answer["text"]) == answer["structuredContent"]
        return dict(answer["structuredContent"])


@asynccontextmanager
async def driven(*command: str, **environment: str) -> AsyncIterator[Driver]:
    """A driver that has yet to get its setup."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        limit=2**24,
    )
    try:
        yield Driver(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def typescript(packages: Path) -> Any:
    return driven(str(NODE), str(DRIVERS / "typescript.mjs"), MODULES=str(packages))
