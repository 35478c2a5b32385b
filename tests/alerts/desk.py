"""A tool that fails or is slow as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from marshmallow import Schema, fields

from gatelodge import READ, Call, Tool, ToolError, hookimpl
from gatelodge.testing import Gatelodge


class Order(Schema):
    fail = fields.String()
    crash = fields.String()
    seconds = fields.Float(load_default=0)


class Done(Schema):
    done = fields.Boolean(required=True)


class DeskPlugin:
    """`desk.do` takes so many seconds, and fails with a code or crashes with a message."""

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return [
            Tool(
                name="desk.do",
                title="Do",
                description="Does.",
                input=Order,
                output=Done,
                handler=self.do,
                annotations=READ,
                meta={"gatelodge/cache": False},
            )
        ]

    async def do(self, call: Call) -> Mapping[str, Any]:
        await asyncio.sleep(call.arguments["seconds"])
        if "crash" in call.arguments:
            raise RuntimeError(call.arguments["crash"])
        if "fail" in call.arguments:
            raise ToolError(call.arguments["fail"], "as told")
        return {"done": True}


async def do(gate: Gatelodge, times: int = 1, **arguments: Any) -> None:
    """Call the tool, however it ends."""
    for _ in range(times):
        with suppress(ToolError):
            await gate.call("desk.do", **arguments)


async def check(gate: Gatelodge, name: str) -> dict[str, Any]:
    """What health says of a check."""
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        body = await reply.json()
    found: dict[str, Any] = next(item for item in body["checks"] if item["name"] == name)
    return found | {"ready": body["status"]}
