"""Sessions of the older revisions, by id. Each serves only the principal that opened it, and ends when left alone."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import OrderedDict

from aiohttp import web

from ..contract import Principal
from ..notices import Notice
from ..protocol.conversation import Conversation
from .resumable import EventStream
from .running import Running

KEPT_STREAMS = 32
"""How many ended streams of a session are kept for a client that lost the end of one."""
STANDALONE = "0"


class Session:
    """A conversation over Streamable HTTP: its requests under way, and its streams, also those a client may come back to."""

    def __init__(self, id: str, conversation: Conversation) -> None:
        self.id = id
        self.conversation = conversation
        self.running = Running(conversation)
        self.used = time.monotonic()
        revision = conversation.revision
        self._polling = revision is not None and revision.polling
        self._numbers = itertools.count(1)
        self._streams: OrderedDict[str, EventStream] = OrderedDict()
        self.standalone = EventStream(STANDALONE, polling=self._polling)

    def begin_stream(self) -> EventStream:
        """A stream for one request."""
        stream = EventStream(str(next(self._numbers)), polling=self._polling)
        self._streams[stream.name] = stream
        ended = [name for name, item in self._streams.items() if item.ended]
        for name in ended[:-KEPT_STREAMS]:
            del self._streams[name]
        return stream

    def resume(self, event_id: str) -> tuple[EventStream, int | None]:
        """The stream that event was on, and its number; the standalone one for an event that is not known any more."""
        name, _, number = event_id.rpartition("-")
        stream = self.standalone if name == STANDALONE else self._streams.get(name)
        if stream is None or not (number.isascii() and number.isdigit() and len(number) < 10):
            return self.standalone, None
        return stream, int(number)

    def tell(self, notice: Notice) -> None:
        message = self.conversation.hears(notice)
        if message is not None:
            self.standalone.push(message)

    async def close(self) -> None:
        """Cancel what runs and end every stream."""
        self.running.stop()
        for stream in (self.standalone, *self._streams.values()):
            await stream.finish(None)


class Sessions:
    """In this process. `idle` is in seconds; beyond `most` sessions the one longest unused is ended."""

    def __init__(self, *, idle: float = 3600.0, most: int = 10_000) -> None:
        self._idle = idle
        self._most = most
        self._open: OrderedDict[str, Session] = OrderedDict()

    async def begin(self, conversation: Conversation) -> Session:
        await self._end_idle()
        session = Session(secrets.token_urlsafe(24), conversation)
        self._open[session.id] = session
        return session

    def find(self, session_id: str, principal: Principal) -> Session | None:
        """The session, or None where there is none for this principal: whose it is, is nobody else's business."""
        found = self._open.get(session_id)
        if found is None or found.conversation.principal.identity != principal.identity or self._is_idle(found):
            return None
        found.used = time.monotonic()
        self._open.move_to_end(session_id)
        return found

    async def end(self, session_id: str) -> None:
        session = self._open.pop(session_id, None)
        if session is not None:
            await session.close()

    async def close(self) -> None:
        for session_id in list(self._open):
            await self.end(session_id)

    def tell(self, notice: Notice) -> None:
        """Let every session hear of a change."""
        for session in self._open.values():
            session.tell(notice)

    def __len__(self) -> int:
        return len(self._open)

    def _is_idle(self, session: Session) -> bool:
        return session.used + self._idle < time.monotonic() and not session.standalone.connected

    async def _end_idle(self) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            if len(self._open) < self._most and not self._is_idle(oldest):
                return
            await self.end(oldest.id)


SESSIONS = web.AppKey("sessions", Sessions)
