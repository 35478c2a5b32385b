"""Streamable HTTP at `/mcp`: stateless requests of 2026-07-28, and sessions of 2025-03-26 to 2025-11-25.

Source: the "Transports" chapters of those revisions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..contract import Principal
from ..protocol.conversation import Conversation, stateless_peer
from ..protocol.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    Message,
    ProtocolError,
    error_response,
    parse,
    response,
)
from ..protocol.methods import Protocol, stateless_revision, unsupported_version
from ..protocol.revisions import REVISIONS, Revision
from .gate import PRINCIPAL, REQUEST_ID, call_headers, json_response
from .sessions import Sessions
from .streaming import Reply

VERSION_HEADER = "MCP-Protocol-Version"
SESSION_HEADER = "Mcp-Session-Id"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Methods whose `Mcp-Name` header mirrors a parameter, and which one."""


class StreamableHTTP:
    """The MCP endpoint of one listener."""

    def __init__(self, protocol: Protocol, sessions: Sessions) -> None:
        self._protocol = protocol
        self._sessions = sessions

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/mcp", self.post)
        app.router.add_delete("/mcp", self.delete)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """One message, or a batch of them where the session's revision knows batches."""
        received = parse(await request.read())
        if isinstance(received, list):
            return await self._batch(request, received)
        try:
            return await self._one(request, received)
        except ProtocolError as error:
            return json_response(error_response(error, received.id, null_id=True), status=error.status)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """The client ends its session."""
        self._session(request, request[PRINCIPAL])
        self._sessions.end(request.headers[SESSION_HEADER])
        return web.Response(status=204)

    async def _one(self, request: web.Request, message: Message) -> web.StreamResponse:
        revision = stateless_revision(message)
        claimed = request.headers.get(VERSION_HEADER)
        if claimed is not None and claimed not in REVISIONS:
            raise unsupported_version(claimed, message)
        if revision is not None or (claimed is not None and REVISIONS[claimed].stateless):
            return await self._stateless(request, message, revision)
        if message.method == "initialize":
            return await self._initialize(request, message)
        session = self._session(request, request[PRINCIPAL])
        if claimed is not None and session.revision is not None and claimed != session.revision.name:
            raise ProtocolError(INVALID_REQUEST, f"{VERSION_HEADER}: this session speaks {session.revision.name}")
        if message.method is None or message.id is None:
            return web.Response(status=202)
        return await self._reply(request, message, session)

    async def _stateless(self, request: web.Request, message: Message, revision: Revision | None) -> web.StreamResponse:
        if message.method is None:
            raise ProtocolError(INVALID_REQUEST, "This revision has no responses from the client")
        if message.id is None:
            return web.Response(status=202)
        check_headers(request.headers, message, revision)
        assert revision is not None
        reply = Reply(request)
        headers = call_headers(request)
        door, request_id = "streamable_http", request[REQUEST_ID]
        peer = stateless_peer(message, revision, request[PRINCIPAL], door, request_id, reply.notify, headers)
        try:
            answer = response(message.id, await self._protocol.answer(message, peer))
        except ProtocolError as error:
            return await reply.finish(error_response(error, message.id), status=error.status)
        return await reply.finish(answer)

    async def _initialize(self, request: web.Request, message: Message) -> web.StreamResponse:
        if message.id is None:
            raise ProtocolError(INVALID_REQUEST, "id: initialize is a request and needs one")
        conversation = Conversation(self._protocol, request[PRINCIPAL], "streamable_http")
        answer = await conversation.answer(message, request[REQUEST_ID])
        session_id = self._sessions.begin(conversation)
        return json_response(response(message.id, answer), headers={SESSION_HEADER: session_id})

    async def _reply(self, request: web.Request, message: Message, session: Conversation) -> web.StreamResponse:
        assert message.id is not None
        reply = Reply(request)
        try:
            answer = await session.answer(
                message, request[REQUEST_ID], notify=reply.notify, headers=call_headers(request)
            )
        except ProtocolError as error:
            # Clients of these revisions take a status other than 200 for a broken transport, not for an answer.
            return await reply.finish(error_response(error, message.id))
        return await reply.finish(response(message.id, answer))

    async def _batch(self, request: web.Request, messages: list[Message]) -> web.StreamResponse:
        session = self._session(request, request[PRINCIPAL])
        if session.revision is None or not session.revision.batches:
            raise ProtocolError(INVALID_REQUEST, "JSON-RPC batches are not part of this protocol revision")
        answers = [await self._batched(request, m, session) for m in messages if m.method and m.id is not None]
        return json_response(answers) if answers else web.Response(status=202)

    async def _batched(self, request: web.Request, message: Message, session: Conversation) -> dict[str, Any]:
        assert message.id is not None
        try:
            answer = await session.answer(message, request[REQUEST_ID], headers=call_headers(request))
        except ProtocolError as error:
            return error_response(error, message.id)
        return response(message.id, answer)

    def _session(self, request: web.Request, principal: Principal) -> Conversation:
        session_id = request.headers.get(SESSION_HEADER)
        if session_id is None:
            raise ProtocolError(INVALID_REQUEST, f"{SESSION_HEADER}: missing; send initialize first")
        session = self._sessions.find(session_id, principal)
        if session is None:
            raise ProtocolError(INVALID_REQUEST, "This session has ended or never was; send initialize", status=404)
        return session


def check_headers(headers: Mapping[str, str], message: Message, revision: Revision | None) -> None:
    """Refuse a stateless request whose headers say something else than its body. Raises `HeaderMismatch`."""
    claimed = headers.get(VERSION_HEADER)
    if revision is None:
        raise ProtocolError(HEADER_MISMATCH, f"{VERSION_HEADER} is {claimed}, but the body's _meta has no version")
    _match(VERSION_HEADER, claimed, revision.name)
    _match("Mcp-Method", headers.get("Mcp-Method"), message.method)
    parameter = NAMED_BY.get(message.method or "")
    if parameter is not None:
        _match("Mcp-Name", decode_header(headers.get("Mcp-Name")), message.params.get(parameter))


def decode_header(value: str | None) -> str | None:
    """A mirrored value, decoded where it stands in the base64 sentinel form. Raises `HeaderMismatch` for bad base64."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ProtocolError(HEADER_MISMATCH, "A header is not valid base64 of UTF-8") from None


def _match(name: str, header: str | None, body: object) -> None:
    if header is None:
        raise ProtocolError(HEADER_MISMATCH, f"{name}: this header is required")
    if header != body:
        raise ProtocolError(HEADER_MISMATCH, f"{name}: the header says {header!r}, the body {body!r}")
