"""A plugin with a tool that runs until it is cancelled, and ways to see when it began and when it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from marshmallow import Schema

from gatelodge import READ, Call, Result, Text, Tool, hookimpl


class Nothing(Schema):
    pass


class WaitingPlugin:
    """`began` and `cancelled` are of the last call; a second tool tells them to who can only ask."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (
            Tool(
                name="waiting.wait",
                title="Wait",
                description="Waits until it is cancelled.",
                input=Nothing,
                handler=self.wait,
                annotations=READ,
                meta={"gatelodge/cache": False},
            ),
            Tool(
                name="waiting.state",
                title="State",
                description="Whether a call is running, or was cancelled.",
                input=Nothing,
                handler=self.state,
                annotations=READ,
                meta={"gatelodge/cache": False},
            ),
        )

    async def wait(self, call: Call) -> Result:
        self.cancelled.clear()
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.began.clear()
            self.cancelled.set()
        return Result()

    async def state(self, call: Call) -> Result:
        states = {"running": self.began, "cancelled": self.cancelled}
        return Result(content=(Text(" ".join(name for name, event in states.items() if event.is_set()) or "idle"),))
