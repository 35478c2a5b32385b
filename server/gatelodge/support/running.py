"""The server that runs on this machine, asked over HTTP as anyone may."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from ..application import ServerSettings
from ..errors import StartupError
from ..listening import base_url
from ..processes.settings import ProcessSettings
from ..settings import Environment

TIMEOUT = aiohttp.ClientTimeout(total=10)
MOST_BYTES = 4 * 2**20
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What to ask where a server listens on every address."""


class NoServer(Exception):
    """No server answered, or not with what was asked for; the message says which."""


def own_url(environment: Environment) -> str:
    """Where the hub of a server with this environment listens. Raises `NoServer` where that cannot be known."""
    try:
        server, processes = environment.read(ServerSettings), environment.read(ProcessSettings)
    except StartupError as error:
        raise NoServer(str(error)) from None
    if server.port == 0:
        raise NoServer("MCP_PORT=0 lets the server pick a port that nobody else knows")
    return base_url(ANY.get(server.host, server.host), server.port, tls=processes.certificate is not None)


async def ask(url: str, path: str, *, accept: str = "*/*") -> tuple[int, bytes]:
    """Status and body. The certificate is not checked: nothing secret is sent, and it is for another name. Raises `NoServer`."""
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(url + path, headers={"Accept": accept}, ssl=False, allow_redirects=False) as reply,
        ):
            return reply.status, await reply.content.read(MOST_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoServer(f"nothing answers at {url}: {type(error).__name__}") from None


async def ask_json(url: str, path: str) -> dict[str, Any]:
    """A JSON object, whatever the status. Raises `NoServer`."""
    status, body = await ask(url, path, accept="application/json")
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise NoServer(f"{url}{path} answered {status}, but no JSON object")
    return answer
