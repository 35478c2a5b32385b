"""The one place that posts to an operator's receiver.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import aiohttp
from standardwebhooks import Webhook

TIMEOUT = 10.0
"""Seconds for a whole try."""


class Postable(Protocol):
    """What can be posted: a body, and the id it has whenever it is tried."""

    @property
    def id(self) -> str: ...

    def body(self) -> bytes: ...


class Poster:
    """Signs and posts, once. Redirects are not followed: what is signed is for this receiver."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, secret: str | None, *, timeout: float = TIMEOUT
    ) -> None:
        self._session = session
        self._url = url
        self._signer = Webhook(secret) if secret else None
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def post(self, item: Postable) -> str | None:
        """None once the receiver has taken it, else in a few words why not; the URL is not in them."""
        body = item.body()
        try:
            async with self._session.post(
                self._url, data=body, headers=self._headers(item.id, body), allow_redirects=False, timeout=self._timeout
            ) as reply:
                return None if reply.ok and reply.status < 300 else f"the receiver answered {reply.status}"
        except TimeoutError:
            return f"the receiver did not answer within {self._timeout.total:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"the receiver cannot be reached: {type(error).__name__}"

    def _headers(self, id: str, body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        headers = {"Content-Type": "application/json", "User-Agent": "gatelodge", "webhook-id": id}
        headers["webhook-timestamp"] = str(int(now.timestamp()))
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(id, now, body.decode())
        return headers
