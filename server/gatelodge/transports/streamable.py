"""Streamable HTTP at `/mcp`: stateless requests of 2026-07-28, and sessions of 2025-03-26 to 2025-11-25.

Source: the "Transports" chapters of those revisions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..contract import Principal
from ..protocol import headers
from ..protocol.conversation import stateless_peer
from ..protocol.headers import VERSION_HEADER
from ..protocol.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, Message, ProtocolError, error_response, parse, response
from ..protocol.methods import Protocol
from ..protocol.parameters import VERSION_KEY, stateless_revision, unsupported_version
from ..protocol.peer import Line, unheard
from ..protocol.revisions import REVISIONS
from .gate import PRINCIPAL, call_headers, json_response
from .headers import REQUEST_ID
from .session import Session
from .sessions import DOOR, Sessions
from .streaming import EVENT_STREAM, Reply, accepts_stream

SESSION_HEADER = "Mcp-Session-Id"
MOST_IN_BATCH = 50


class StreamableHTTP:
    """The MCP endpoint of one listener."""

    def __init__(self, protocol: Protocol, sessions: Sessions) -> None:
        self._protocol = protocol
        self._sessions = sessions

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/mcp", self.post)
        app.router.add_get("/mcp", self.get)
        app.router.add_delete("/mcp", self.delete)
        app.cleanup_ctx.append(self._following)
        app.on_shutdown.insert(0, self._end)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """One message, or a batch of them where the session's revision knows batches."""
        received = parse(await request.read())
        if isinstance(received, list):
            return await self._batch(request, received)
        try:
            return await self._one(request, received)
        except ProtocolError as error:
            return json_response(error_response(error, received.id, null_id=True), status=error.status)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The session's own stream, or one that was lost, from the event after `Last-Event-ID` on."""
        session = await self._session(request)
        if not accepts_stream(request):
            raise ProtocolError(INVALID_REQUEST, f"Accept: a GET here answers {EVENT_STREAM}", status=406)
        return await self._sessions.listen(request, session, request.headers.get("Last-Event-ID"))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """The client ends its session."""
        await self._sessions.end(await self._session(request))
        return web.Response(status=204)

    async def _one(self, request: web.Request, message: Message) -> web.StreamResponse:
        claimed = request.headers.get(VERSION_HEADER)
        if VERSION_KEY in message.meta or _is_stateless(claimed):
            return await self._stateless(request, message)
        if claimed is not None and claimed not in REVISIONS:
            raise unsupported_version(claimed, message)
        if message.method == "initialize":
            return await self._initialize(request, message)
        session = await self._session(request)
        if message.method is not None and message.id is not None:
            return await self._reply(request, message, session)
        await self._sessions.hear(session, message)
        return web.Response(status=202)

    async def _stateless(self, request: web.Request, message: Message) -> web.StreamResponse:
        if message.method is None:
            raise ProtocolError(INVALID_REQUEST, "This revision has no responses from the client")
        if message.id is None:
            return web.Response(status=202)
        if VERSION_KEY not in message.meta:
            raise ProtocolError(INVALID_PARAMS, f"_meta: {VERSION_KEY} is missing")
        headers.check_version(request.headers, message)
        revision = stateless_revision(message)
        assert revision is not None
        mirrored = self._protocol.mirrored(message) if message.method == "tools/call" else ()
        headers.check_call(request.headers, message, mirrored)
        reply = Reply(request)
        line = Line(
            send=reply.send if accepts_stream(request) else unheard,
            headers=call_headers(request),
            reply_headers=reply.headers,
        )
        peer = stateless_peer(message, revision, request[PRINCIPAL], DOOR, request[REQUEST_ID], line)
        try:
            answer = response(message.id, await self._protocol.answer(message, peer))
        except ProtocolError as error:
            return await reply.finish(error_response(error, message.id), status=error.status)
        return await reply.finish(answer)

    async def _initialize(self, request: web.Request, message: Message) -> web.StreamResponse:
        if message.id is None:
            raise ProtocolError(INVALID_REQUEST, "id: initialize is a request and needs one")
        conversation = self._sessions.conversation(request[PRINCIPAL])
        answer = await conversation.answer(message, request[REQUEST_ID])
        session_id = await self._sessions.begin(conversation)
        return json_response(response(message.id, answer), headers={SESSION_HEADER: session_id})

    async def _reply(self, request: web.Request, message: Message, session: Session) -> web.StreamResponse:
        """A request of a session runs on when its connection breaks: its client may come back for the rest."""
        assert message.id is not None
        stream = self._sessions.begin_stream(session, message.id)
        line = Line(
            send=stream.send if accepts_stream(request) else unheard,
            hang_up=stream.hang_up,
            headers=call_headers(request),
            principal=request[PRINCIPAL],
            reply_headers=stream.headers,
        )
        session.running.start(message, request[REQUEST_ID], line, stream.finish)
        return await stream.reply(request)

    async def _batch(self, request: web.Request, messages: list[Message]) -> web.StreamResponse:
        session = await self._session(request)
        revision = session.conversation.revision
        if revision is None or not revision.batches:
            raise ProtocolError(INVALID_REQUEST, "JSON-RPC batches are not part of this protocol revision")
        if len(messages) > MOST_IN_BATCH:
            raise ProtocolError(INVALID_REQUEST, f"A batch may have {MOST_IN_BATCH} messages at most")
        answers = [await self._batched(request, item, session, number) for number, item in enumerate(messages, 1)]
        given = [answer for answer in answers if answer is not None]
        return json_response(given) if given else web.Response(status=202)

    async def _batched(
        self, request: web.Request, message: Message, session: Session, number: int
    ) -> dict[str, Any] | None:
        """Each message has an id of its own in the records, which begins with that of the request."""
        if message.method is None or message.id is None:
            await self._sessions.hear(session, message)
            return None
        line = Line(headers=call_headers(request), principal=request[PRINCIPAL])
        try:
            answer = await session.conversation.answer(message, f"{request[REQUEST_ID]}-{number}", line)
        except ProtocolError as error:
            return error_response(error, message.id)
        return response(message.id, answer)

    async def _session(self, request: web.Request) -> Session:
        """The caller's session. Raises `ProtocolError` where there is none, or it speaks another revision."""
        claimed, session_id = request.headers.get(VERSION_HEADER), request.headers.get(SESSION_HEADER)
        if session_id is None:
            if request.method != "POST" and _is_stateless(claimed):
                raise web.HTTPMethodNotAllowed(request.method, ["POST"])
            raise ProtocolError(INVALID_REQUEST, f"{SESSION_HEADER}: missing; send initialize first")
        principal: Principal = request[PRINCIPAL]
        session = await self._sessions.find(session_id, principal)
        if session is None:
            raise ProtocolError(INVALID_REQUEST, "This session has ended or never was; send initialize", status=404)
        spoken = session.conversation.revision
        if claimed is not None and spoken is not None and claimed != spoken.name:
            raise ProtocolError(INVALID_REQUEST, f"{VERSION_HEADER}: this session speaks {spoken.name}")
        return session

    async def _following(self, app: web.Application) -> AsyncIterator[None]:
        async with self._sessions.lifespan(), self._protocol.tasks.lifespan():
            yield

    async def _end(self, app: web.Application) -> None:
        """On shutdown: whoever listens is told so, before the streams are ended."""
        await self._protocol.end()
        await self._sessions.close()


def _is_stateless(version: str | None) -> bool:
    revision = REVISIONS.get(version or "")
    return revision is not None and revision.stateless
