"""The stream of a session's GET: change notices, from any place of the log that all replicas share, on any replica."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from ..notices import Notice, notice_of
from ..protocol.conversation import Conversation
from ..replicas.exchange import Exchange
from ..replicas.shared import START, order
from .resumable import RETRY
from .streaming import close_stream, open_stream

NAME = "0"


class Standalone:
    """`since` is where in the log a client begins that has heard nothing yet, `subscribed` where it asked for a resource.

    A notice has its place in the log for an event id, so a client may lose its stream here and go on elsewhere.
    """

    def __init__(
        self, conversation: Conversation, exchange: Exchange, since: str, subscribed: Mapping[str, str]
    ) -> None:
        self.ended = False
        self._conversation = conversation
        self._exchange = exchange
        self._delivered = since
        self._subscribed = subscribed
        self._pending: dict[Notice, str] = {}
        self._connection = ""
        self._known = False
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._connection != ""

    def hear(self, notice: Notice, position: str) -> None:
        """Send it to the client that listens here, if one does. Of two equal ones that wait, the later is enough."""
        if self.connected:
            self._pending.pop(notice, None)
            self._pending[notice] = position
            self._changed.set()

    def taken(self, connection: str) -> None:
        """A connection, here or on another replica, has taken the stream: later than this one, if this one was heard of."""
        if connection == self._connection:
            self._known = True
        elif self._known:
            self._connection = ""
            self._changed.set()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    async def serve(
        self, request: web.Request, after: str | None, take: Callable[[str], Awaitable[None]]
    ) -> web.StreamResponse:
        """Write notices until either side leaves, those after a position first. `take` tells who else has the stream."""
        mine = self._connection = secrets.token_hex(8)
        self._known = False
        self._changed.set()  # an older connection sees that it is not the one any more
        self._pending.clear()
        position = self._delivered if after is None else after
        response = await open_stream(request)
        try:
            await take(mine)
            revision = self._conversation.revision
            if revision is not None and revision.polling:
                await response.send("", id=f"{NAME}-{position}", retry=round(RETRY * 1000))
            await self._look_back(position)
            while self._connection == mine and response.is_connected() and not self.ended:
                self._changed.clear()
                for notice, place in list(self._pending.items()):
                    del self._pending[notice]
                    if (message := self._conversation.hears(notice)) is not None:
                        await response.send(msgspec.json.encode(message).decode(), id=f"{NAME}-{place}")
                    self._delivered = place
                if not self._pending:
                    await self._changed.wait()
        finally:
            if self._connection == mine:
                self._connection = ""
            await close_stream(request, response)
        return response

    async def _look_back(self, position: str) -> None:
        earlier = await self._exchange.notices(position)
        since, self._pending = self._pending, {}
        for place, told in earlier:
            notice = notice_of(told)
            if notice.kind != "resource" or order(place) > order(self._subscribed.get(notice.name, START)):
                self.hear(notice, place)
        for notice, place in since.items():
            self.hear(notice, place)
