"""A plugin with a tool that runs until it is cancelled, and tells a test when it began and when it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from marshmallow import Schema

from gatelodge import READ, Call, Result, Tool, hookimpl


class Nothing(Schema):
    pass


class WaitingPlugin:
    """`began` and `cancelled` are of the last call."""

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
