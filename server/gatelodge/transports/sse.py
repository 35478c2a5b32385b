"""HTTP+SSE of 2024-11-05: `GET /sse` opens the stream and names an endpoint, `POST /messages` takes what is answered on it.

The stream is on one replica, whose name its id begins with; what is posted to another goes to the inbox of that one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import Any

import msgspec
from aiohttp import web

from ..contract import Principal
from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import INVALID_REQUEST, ProtocolError, error_response, parse
from ..protocol.methods import Protocol
from ..protocol.peer import CallHeaders
from ..replicas.exchange import PREFIX, Exchange, running
from ..replicas.seal import Told
from ..storage.breaker import RedisGone
from .gate import PRINCIPAL, call_headers
from .headers import REQUEST_ID
from .pipe import Pipe
from .register import unreachable
from .sessions import KEEP
from .streaming import close_stream, open_stream

KEPT = 4 * KEEP
"""Seconds that the store knows of a stream after its replica last said that it is open."""
MESSAGE = "message"
MOST_RELAYED = 100
"""Messages of one stream that may wait to be taken."""


class Relayed(msgspec.Struct, frozen=True, array_like=True):
    """A message that was posted to another replica, and what that one found out about it."""

    body: str
    request_id: str
    principal: Principal
    headers: CallHeaders


class LegacySSE:
    """Both endpoints of the older transport."""

    def __init__(self, protocol: Protocol, exchange: Exchange) -> None:
        self._protocol = protocol
        self._exchange = exchange
        self._pipes: dict[str, Pipe] = {}
        self._relayed: dict[str, asyncio.Queue[Relayed]] = {}
        self._leaving = False

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/sse", self.get)
        app.router.add_post("/messages", self.post)
        app.cleanup_ctx.append(self._hearing)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Open the stream, name the endpoint, and stay until either side leaves."""
        stream = await open_stream(request)

        async def send(message: Mapping[str, Any]) -> None:
            await stream.send(msgspec.json.encode(message).decode(), event="message")

        session_id = f"{self._exchange.id}.{secrets.token_urlsafe(24)}"
        pipe = Pipe(Conversation(self._protocol, request[PRINCIPAL], "sse"), send)
        try:
            async with pipe.opened(), self._known(session_id, pipe):
                await stream.send(f"/messages?session_id={session_id}", event="endpoint")
                await stream.wait()
        finally:
            await close_stream(request, stream)
        return stream

    async def leave(self) -> None:
        """Before the streams end: others are to take nothing more for them, and what they have taken is to be answered."""
        self._leaving = True
        with suppress(RedisGone):
            for name in list(self._pipes):
                await self._drop(name)
            await self._exchange.caught_up()

    async def post(self, request: web.Request) -> web.Response:
        """Take a message; its answer comes down the stream."""
        session_id, principal = request.query.get("session_id", ""), request[PRINCIPAL]
        name, body = self._name(session_id), await request.read()
        pipe = self._pipes.get(name)
        if pipe is None:
            await self._relay(session_id.partition(".")[0], name, request, body)
        elif pipe.principal.identity != principal.identity:
            raise _unknown()
        else:
            await pipe.receive(body, request[REQUEST_ID], call_headers(request), principal)
        return web.Response(status=202, text="Accepted")

    @asynccontextmanager
    async def _known(self, session_id: str, pipe: Pipe) -> AsyncIterator[None]:
        name = self._name(session_id)
        self._pipes[name], self._relayed[name] = pipe, asyncio.Queue(MOST_RELAYED)
        try:
            with suppress(RedisGone):  # then what is posted here is taken, and the rest when Redis is back
                await self._exchange.run(lambda: self._put(name))
            async with running(lambda: _receive(pipe, self._relayed[name])):
                yield
        finally:
            del self._pipes[name], self._relayed[name]
            with suppress(RedisGone):
                await self._drop(name)

    async def _relay(self, replica: str, name: str, request: web.Request, body: bytes) -> None:
        """Pass a message on to the replica that has the stream. Raises `ProtocolError` where there is none for this caller."""
        if replica == self._exchange.id or not replica.isalnum():
            raise _unknown()
        parse(body)
        try:
            (identity,) = await self._exchange.run(lambda: self._exchange.shared.get(_key(name)))
            if identity != _identity(request[PRINCIPAL]) or not await self._exchange.alive(replica):
                raise _unknown()
            relayed = Relayed(body.decode(), request[REQUEST_ID], request[PRINCIPAL], call_headers(request))
            await self._exchange.tell(MESSAGE, name, relayed, to=replica)
        except RedisGone:
            raise unreachable() from None

    async def _hearing(self, app: web.Application) -> AsyncIterator[None]:
        async with (
            self._exchange.following(MESSAGE, self._hear),
            self._exchange.restoring(self._restore),
            running(self._keep),
        ):
            yield

    async def _hear(self, told: Told) -> None:
        relayed = msgspec.convert(told.data, Relayed)
        pipe = self._pipes.get(told.about)
        if pipe is not None and pipe.principal.identity == relayed.principal.identity:
            with suppress(asyncio.QueueFull):  # a client that posts and does not read; what others say must be heard
                self._relayed[told.about].put_nowait(relayed)

    async def _put(self, name: str) -> None:
        identity = _identity(self._pipes[name].principal)
        await self._exchange.shared.put(_key(name), identity, ttl=KEPT)

    async def _drop(self, name: str) -> None:
        await self._exchange.run(lambda: self._exchange.shared.drop(_key(name)))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP)
            with suppress(RedisGone):
                await self._exchange.run(self._restore)

    async def _restore(self) -> None:
        for name in () if self._leaving else list(self._pipes):
            await self._put(name)

    def _name(self, session_id: str) -> str:
        return f"{self._protocol.toolset.name}:{blake2b(session_id.encode(), digest_size=16).hexdigest()}"


async def _receive(pipe: Pipe, queue: asyncio.Queue[Relayed]) -> None:
    """Take what others pass on. What cannot be refused where it was posted is refused down the stream."""
    while True:
        relayed = await queue.get()
        try:
            await pipe.receive(relayed.body.encode(), relayed.request_id, relayed.headers, relayed.principal)
        except ProtocolError as error:
            await pipe.send(error_response(error, null_id=True))


def _unknown() -> ProtocolError:
    return ProtocolError(INVALID_REQUEST, "session_id: no stream with this id is open", status=404)


def _identity(principal: Principal) -> bytes:
    return msgspec.json.encode(principal.identity)


def _key(name: str) -> str:
    return f"{PREFIX}sse:{name}"
