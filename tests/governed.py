"""A gate with the real audit, intent and idempotency plugins around tools that act on a real HTTP counter."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import ClientError, ClientSession, web
from marshmallow import Schema, fields

from gatelodge import (
    LOCAL_TENANT,
    READ,
    WRITE,
    Call,
    Channel,
    Environment,
    ErrorCode,
    Middleware,
    Phase,
    Principal,
    Result,
    Storage,
    Tool,
    ToolError,
)
from gatelodge.contract import SilentChannel
from gatelodge.dispatch import Dispatch, compile_tool
from gatelodge.middleware.audit import AuditPlugin
from gatelodge.middleware.deadline import within_deadline
from gatelodge.middleware.idempotency import IdempotencyPlugin
from gatelodge.middleware.intent import IntentPlugin
from gatelodge.middleware.validation import validate
from gatelodge.storage.postgres import create_pool

SILENT = SilentChannel()


class Upstream:
    """A real HTTP server that counts: each POST is an effect, which a GET finds by its name.

    `mode` makes the POST `refuse` (400, no effect), `fail` (500 after the effect), `cut` (effect, then no reply) or
    `hold` (effect, then a reply once `released` is set). `reached` is set by the first effect.
    """

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Upstream]:
        app = web.Application()
        app.router.add_post("/effects", self._add)
        app.router.add_get("/effects/{name}", self._find)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/effects"
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()

    async def _add(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["mode"] == "refuse":
            return web.json_response({}, status=400)
        self.effects.append(body["name"])
        self.reached.set()
        if body["mode"] == "cut" and request.transport is not None:
            request.transport.close()
        if body["mode"] == "hold":
            await self.released.wait()
        return web.json_response({"number": len(self.effects)}, status=500 if body["mode"] == "fail" else 200)

    async def _find(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.effects:
            return web.json_response({}, status=404)
        return web.json_response({"number": self.effects.index(name) + 1})


class _Add(Schema):
    name = fields.String(required=True)
    mode = fields.String(load_default="ok")
    token = fields.String()
    dry_run = fields.Boolean(load_default=False)
    idempotency_key = fields.String()


class _Find(Schema):
    name = fields.String(required=True)


class _Number(Schema):
    number = fields.Integer(required=True)


class CounterTools:
    """`counter.add` acts, `counter.blind` too but cannot look for its effect, `counter.find` reads."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self._url = url
        self._session = session

    def tools(self) -> list[Tool]:
        add = {"title": "Add", "description": "Adds.", "input": _Add, "output": _Number, "annotations": WRITE}
        return [
            Tool(name="counter.add", handler=self.add, reconcile=self.look, **add),
            Tool(name="counter.blind", handler=self.add, **add),
            Tool(
                name="counter.find",
                title="Find",
                description="Finds.",
                input=_Find,
                output=_Number,
                handler=self.find,
                annotations=READ,
            ),
        ]

    async def add(self, call: Call) -> Result:
        if call.arguments["dry_run"]:
            return Result(structured={"number": 0})
        await call.progress(0)
        body = {"name": call.arguments["name"], "mode": call.arguments["mode"]}
        try:
            async with self._session.post(self._url, json=body) as reply:
                answer = await reply.json()
        except ClientError as error:
            raise ToolError("network_error", f"the counter went away: {type(error).__name__}") from None
        if reply.status != 200:
            raise ToolError(ErrorCode(f"upstream_{reply.status // 100}xx"), "the counter refused")
        await call.progress(1)
        return Result(structured=answer, before={"number": answer["number"] - 1}, after=answer)

    async def find(self, call: Call) -> Result:
        found = await self.look(call)
        if found is None:
            raise ToolError("not_found", "no such effect")
        return found

    async def look(self, call: Call) -> Result | None:
        async with self._session.get(f"{self._url}/{call.arguments['name']}") as reply:
            return Result(structured=await reply.json()) if reply.status == 200 else None


class Gate:
    """One replica: the fold of the real plugins over one database. `outer` is middleware of the test's own."""

    def __init__(self, dsn: str, upstream: str, *outer: Middleware, **variables: str) -> None:
        self._dsn = dsn
        self._upstream = upstream
        self._outer = outer
        self._variables = variables
        self.audit = AuditPlugin()
        self.plugins = [self.audit, IdempotencyPlugin(), IntentPlugin()]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Gate]:
        async with AsyncExitStack() as stack:
            pool = await create_pool(self._dsn)
            stack.push_async_callback(pool.close)
            environment = Environment(self._variables)
            for plugin in self.plugins:
                if hasattr(plugin, "gatelodge_configure"):
                    plugin.gatelodge_configure(environment)
                await stack.enter_async_context(plugin.gatelodge_lifespan(Storage(pool)))
            session = await stack.enter_async_context(ClientSession())
            tools = CounterTools(self._upstream, session).tools()
            self._tools = {tool.name: compile_tool("counter", tool) for tool in tools}
            own = [item for plugin in self.plugins for item in plugin.gatelodge_middleware()]
            fixed = [
                Middleware("validation", Phase.VALIDATION, validate),
                Middleware("deadline", Phase.DEADLINE, within_deadline),
            ]
            self._dispatch = Dispatch(sorted([*own, *fixed, *self._outer], key=lambda item: item.phase))
            yield self

    @property
    def writer(self) -> Any:
        return self.audit._open.writer

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        key: object = None,
        *,
        tenant: UUID = LOCAL_TENANT,
        request_id: str = "r",
        timeout: float = 20.0,
        channel: Channel = SILENT,
        **principal: Any,
    ) -> Result:
        """`principal` is what else there is of the caller, who is someone, unless told."""
        compiled = self._tools[tool]
        call = Call(
            kind="tool",
            name=tool,
            target=compiled,
            owner="counter",
            arguments=arguments,
            principal=Principal(**{"tenant": tenant, "user": "someone", "method": "test"} | principal),
            request_id=request_id,
            door="test",
            deadline=asyncio.get_running_loop().time() + timeout,
            read_only=compiled.tool.annotations.read_only,
            channel=channel,
            idempotency_key=key,  # type: ignore[arg-type]
        )
        return await self._dispatch(call)

    async def add(self, name: str, key: object = None, **more: Any) -> Result:
        """`counter.add`, with what else its schema or `call` takes."""
        arguments = {field: more.pop(field) for field in ("mode", "token", "dry_run") if field in more}
        return await self.call("counter.add", {"name": name, **arguments}, key, **more)

    async def flushed(self) -> None:
        """Until every row is written."""
        await until(lambda: not self.writer.depth)


async def until(condition: Callable[[], Any]) -> None:
    """Until something holds that gives no sign when it does; the condition may be a coroutine function."""
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        await asyncio.sleep(0.02)


async def rows(dsn: str, tenant: UUID = LOCAL_TENANT) -> list[asyncpg.Record]:
    """The audit of a tenant, in order."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch("SELECT * FROM audit_logs WHERE tenant_id = $1 ORDER BY seq", tenant)
    finally:
        await connection.close()


async def told(gate: Gate, dsn: str, tenant: UUID = LOCAL_TENANT) -> list[tuple[str, str | None]]:
    """Kind and outcome of each row, once all are written."""
    await gate.flushed()
    return [(row["kind"], row["outcome"]) for row in await rows(dsn, tenant)]
