"""A plugin to be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, fields

from gatelodge import READ, Call, Reading, Resource, Result, Tool, ToolError, hookimpl
from gatelodge.content import TextContents


class Order(Schema):
    fail = fields.String()


class Done(Schema):
    done = fields.Boolean(required=True)


class DeskPlugin:
    """`desk.do` fails with the code it is told; a resource template; a metric of its own."""

    def __init__(self) -> None:
        self.calls = 0

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (
            Tool(
                name="desk.do",
                title="Do",
                description="Does.",
                input=Order,
                output=Done,
                handler=self.do,
                annotations=READ,
                meta={"gatelodge/cache": False},
            ),
        )

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        async def read(call: Call) -> Result:
            return Result(content=(TextContents(call.arguments["uri"], "paper"),))

        return (Resource(uri="desk://paper/{id}", name="paper", title="Paper", description="A paper.", handler=read),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Reading]:
        return (Reading("desk_calls_total", "Calls of the desk.", lambda: self.calls),)

    async def do(self, call: Call) -> Mapping[str, Any]:
        self.calls += 1
        if "fail" in call.arguments:
            raise ToolError(call.arguments["fail"], "as told")
        return {"done": True}
