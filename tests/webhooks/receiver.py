"""A receiver of webhooks: a real HTTP server that believes only what is signed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """`mode` makes it `take` messages, `refuse` them (503), or `hold` them without an answer until `released`.

    `taken` holds what was verified and taken; `tries` the id of each message that arrived, taken or not.
    """

    def __init__(self, secret: str | None = SECRET) -> None:
        self.mode = "take"
        self.taken: list[dict[str, Any]] = []
        self.tries: list[str] = []
        self.released = asyncio.Event()
        self.port = 0
        self._webhook = Webhook(secret) if secret else None
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/T0/secret-path"

    @property
    def settings(self) -> dict[str, str]:
        return {"GATELODGE_WEBHOOK_URL": self.url, "GATELODGE_WEBHOOK_SECRET": SECRET}

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.taken]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Receiver]:
        """A second time it comes back under the same port."""
        app = web.Application()
        app.router.add_post("/hooks/T0/secret-path", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()

    async def until(self, holds: Callable[[Receiver], Any], bound: float = 60) -> None:
        """Wait for messages until they are what is wanted."""
        async with asyncio.timeout(bound):
            while not holds(self):
                self._news.clear()
                await self._news.wait()

    async def _receive(self, request: web.Request) -> web.Response:
        self.tries.append(request.headers["webhook-id"])
        self._news.set()
        if self.mode == "hold":
            await self.released.wait()
        if self.mode == "refuse":
            return web.Response(status=503)
        body = await request.text()
        try:
            message = Webhook(SECRET).verify(body, dict(request.headers)) if self._webhook else await request.json()
        except WebhookVerificationError:
            return web.Response(status=401)
        self.taken.append({**message, "id": request.headers["webhook-id"]})
        self._news.set()
        return web.Response(status=204)
