"""What stands between a real client and the server under test, and shows a transcript all that passes."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web

from .transcript import Conversation, Transcript

TAP = Path(__file__).with_name("tap.py")
SESSION = "Mcp-Session-Id"
OF_ONE_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "accept-encoding"})
FOREVER = aiohttp.ClientTimeout(total=None)


class Recording:
    """Proxies for HTTP and commands for stdio, all into one transcript. `folder` is for the pipes' lines."""

    def __init__(self, folder: Path) -> None:
        self.transcript = Transcript()
        self._folder = folder

    def tapped(self, *command: str) -> list[str]:
        """The command of a server on stdio, as one that is listened to."""
        return [sys.executable, str(TAP), str(self._folder), *command]

    @asynccontextmanager
    async def proxied(self, url: str) -> AsyncIterator[str]:
        """The address of a proxy to a server."""
        async with aiohttp.ClientSession(timeout=FOREVER) as session:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", Proxy(url, session, self.transcript).pass_on)
            runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            await runner.cleanup()

    def finish(self) -> Transcript:
        """The transcript, with what the pipes kept; call it when the clients are gone."""
        for path in sorted(self._folder.iterdir()):
            conversation = self.transcript.conversation()
            for line in path.read_bytes().splitlines():
                conversation.pass_on(json.loads(line[1:]), by_server=line[:1] == b"<")
        return self.transcript


class Proxy:
    """Passes requests and replies on as they are, event streams event by event; a client that leaves is followed."""

    def __init__(self, url: str, session: aiohttp.ClientSession, transcript: Transcript) -> None:
        self._url = url
        self._session = session
        self._transcript = transcript
        self._conversations: dict[str, Conversation] = {}

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        conversation, body = self._conversation(request), await request.read()
        if body and request.path in ("/mcp", "/messages"):
            conversation.pass_on(json.loads(body), by_server=False)
        sent = self._session.request(
            request.method,
            self._url + request.path_qs,
            headers=_of_the_way(request.headers) | {"Accept-Encoding": "identity"},
            data=body,
            allow_redirects=False,
        )
        async with sent as reply:
            if SESSION in reply.headers:
                self._conversations[reply.headers[SESSION]] = conversation
            if reply.content_type == "text/event-stream":
                return await self._stream(request, reply, conversation)
            answer = await reply.read()
        if answer and reply.content_type == "application/json" and request.path == "/mcp":
            conversation.pass_on(json.loads(answer), by_server=True)
        return web.Response(body=answer, status=reply.status, headers=_of_the_way(reply.headers))

    def _conversation(self, request: web.Request) -> Conversation:
        id = request.headers.get(SESSION) or request.query.get("session_id", "")
        return self._conversations.get(id) or self._transcript.conversation()

    async def _stream(
        self, request: web.Request, reply: aiohttp.ClientResponse, conversation: Conversation
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=_of_the_way(reply.headers))
        await response.prepare(request)
        event: dict[str, str] = {}
        try:
            async for line in reply.content:
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name:
                    event[name] = value.removeprefix(" ")
                elif event and not value:
                    self._hear(event, conversation)
                    event = {}
                await response.write(line)
        except (aiohttp.ClientError, ConnectionError):
            request.transport and request.transport.close()  # the reply broke off, and so it does here
        return response

    def _hear(self, event: Mapping[str, str], conversation: Conversation) -> None:
        data = event.get("data", "")
        if event.get("event") == "endpoint":
            (session_id,) = parse_qs(urlsplit(data).query)["session_id"]
            self._conversations[session_id] = conversation
        elif data:
            conversation.pass_on(json.loads(data), by_server=True)


def _of_the_way(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are meant for the other end."""
    return {name: value for name, value in headers.items() if name.lower() not in OF_ONE_HOP}
