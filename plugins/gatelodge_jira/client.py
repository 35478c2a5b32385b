"""HTTP to one Jira: a session for its life, retries that cannot act twice, a breaker, errors as the stable codes."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp
import msgspec

from gatelodge import ErrorCode, ToolError

from .addresses import PublicResolver
from .breaker import Breaker
from .failure import refusal, unreachable
from .instance import Instance

ATTEMPTS = 4
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
"""Seconds. A longer `Retry-After` is the caller's to wait for."""
CONNECTIONS = 20
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=25)
LARGEST_REPLY = 32 * 2**20
USER_AGENT = "gatelodge"
API_PARTS = len(["", "rest", "api", "version"])
WORDS = frozenset(
    {"approximate-count", "bulkfetch", "changelog", "comment", "createmeta", "editmeta", "field", "issue", "issueLink"}
    | {"issueLinkType", "issuetypes", "jql", "myself", "project", "search", "serverInfo", "status", "transitions"}
)
"""The parts of a path that are Jira's own. All others are a caller's, or name something of a site."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the API. `safe` says that sending it twice changes nothing."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Any = None
    safe: bool = False

    def template(self) -> str:
        """The path as it may be shown to anyone: `/rest/api/3/issue/{}/comment`."""
        parts = self.path.split("/")
        return "/".join([*parts[:API_PARTS], *(part if part in WORDS else "{}" for part in parts[API_PARTS:])])

    def shown(self) -> dict[str, Any]:
        """What a `dry_run` says would be sent."""
        shown: dict[str, Any] = {"method": self.method, "path": self.path}
        if self.params:
            shown["query"] = dict(self.params)
        return shown if self.body is None else {**shown, "body": self.body}


class Client:
    """Sends requests to one instance. Made inside the event loop, closed by `close`.

    `trace_configs` observe them; each is given its request's `template`.
    """

    def __init__(self, instance: Instance, trace_configs: Sequence[aiohttp.TraceConfig] = ()) -> None:
        self.instance = instance
        self.breaker = Breaker(instance.id)
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if instance.authorization:
            headers["Authorization"] = instance.authorization
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, ssl=_tls(), resolver=PublicResolver() if instance.public_only else None
            ),
            headers=headers,
            timeout=TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=list(trace_configs),
        )

    async def close(self) -> None:
        await self._session.close()

    async def send(self, request: Request) -> Any:
        """The decoded reply, None for an empty one. Raises `ToolError`.

        A safe request is tried up to four times. Another one only when the failed try cannot have reached Jira's own
        code: the connection was refused, or the answer was 429.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self.breaker.admit()
            try:
                return await self._try(request)
            except _Failed as failed:
                pause = _pause(attempt, failed)
                if attempt == ATTEMPTS or pause is None or not (request.safe or failed.unsent):
                    raise failed.error from None
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _try(self, request: Request) -> Any:
        try:
            status, headers, body = await self._exchange(request)
        except aiohttp.ClientConnectorError as error:
            self.breaker.failed()
            raise _Failed(unreachable(self.instance.id, error), unsent=True) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.breaker.failed()
            raise _Failed(unreachable(self.instance.id, error)) from None
        if status < 300:
            self.breaker.succeeded()
            return self._decode(body)
        refused = refusal(self.instance.id, status, headers, body)
        if status >= 500:
            self.breaker.failed()
            raise _Failed(refused)
        self.breaker.succeeded()
        if status == 429:
            raise _Failed(refused, unsent=True)
        raise refused

    async def _exchange(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        data = None if request.body is None else msgspec.json.encode(request.body)
        headers = {"Content-Type": "application/json"} if data is not None else None
        async with self._session.request(
            request.method,
            self.instance.url + request.path,
            params=request.params,
            data=data,
            headers=headers,
            trace_request_ctx=request.template,
            allow_redirects=False,  # a redirect would carry our credentials to where it points
        ) as reply:
            return reply.status, reply.headers, await self._read(reply)

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in reply.content.iter_any():
            body += chunk
            if len(body) > LARGEST_REPLY:
                raise ToolError(
                    ErrorCode.UPSTREAM_5XX,
                    f"Jira's answer is larger than {LARGEST_REPLY // 2**20} MiB; ask for fewer fields.",
                    details={"instance": self.instance.id},
                )
        return bytes(body)

    def _decode(self, body: bytes) -> Any:
        if not body:
            return None
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise ToolError(
                ErrorCode.UPSTREAM_5XX,
                "Jira answered with something that is no JSON; is the address right?",
                details={"instance": self.instance.id},
            ) from None


class _Failed(Exception):
    """One try failed in a way that a further one may mend; `unsent` says that Jira did nothing for it."""

    def __init__(self, error: ToolError, *, unsent: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.unsent = unsent


def _pause(attempt: int, failed: _Failed) -> float | None:
    """Seconds before the next try, never less than Jira asks for; None when that is too long to hold a call for."""
    wanted = max(FIRST_PAUSE * 2.0 ** (attempt - 1) * random.uniform(0.7, 1.3), failed.error.retry_after or 0.0)
    return wanted if wanted <= LONGEST_PAUSE else None


@cache
def _tls() -> ssl.SSLContext:
    """One for all instances: to make one costs tens of milliseconds."""
    return ssl.create_default_context()
