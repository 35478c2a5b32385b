"""Gatelodge with an echo plugin beside its own, all middleware on; settings come from the environment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, fields

from gatelodge import Annotations, Call, Tool, hookimpl
from gatelodge.application import open_server
from gatelodge.listening import listening


class Said(Schema):
    text = fields.String(required=True)


class EchoPlugin:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        read = Annotations(read_only=True, destructive=False, idempotent=True, open_world=False)
        uncached = {"gatelodge/cache": False}
        return (
            Tool(
                name="echo.say",
                title="Echo",
                description="Says it back.",
                input=Said,
                output=Said,
                handler=say,
                annotations=read,
                meta=uncached,
            ),
        )


async def say(call: Call) -> Mapping[str, Any]:
    return dict(call.arguments)


async def main() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with open_server(os.environ, extra_plugins=[("echo", EchoPlugin)]) as server, listening(server):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
