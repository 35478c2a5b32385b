"""Sessions of the older revisions, by id, on any replica. Each serves only who opened it, and ends when left alone."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from hashlib import blake2b

import msgspec
from aiohttp import web

from ..contract import Principal
from ..notices import Notice
from ..protocol.conversation import Conversation
from ..protocol.jsonrpc import Message, RequestId
from ..protocol.methods import Protocol
from ..replicas.exchange import PREFIX, Exchange, running
from ..replicas.seal import Told
from ..replicas.shared import is_position
from ..storage.breaker import RedisGone
from .journal import Copy, copy
from .register import Register, unreachable
from .resumable import EventStream
from .running import cancelled_id
from .session import Record, Session, ask_as
from .standalone import NAME as STANDALONE

DOOR = "streamable_http"
KEEP = 60.0
"""Seconds between two times that the store is told which sessions are in use."""
COPYING = 2.0
"""Seconds that the last copies of streams may take at the end."""
LONGEST_ID = 200
"""Characters of a request id that may be cancelled on another replica."""


class Sessions:
    """This replica's views. `idle` is in seconds; beyond `most` views the one longest unused is closed."""

    def __init__(self, protocol: Protocol, exchange: Exchange, *, idle: float = 3600.0, most: int = 10_000) -> None:
        self._protocol = protocol
        self._exchange = exchange
        self._register = Register(exchange, idle=idle)
        self._idle = idle
        self._most = most
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._copying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """While open, what is said of sessions on other replicas is heard, and the store knows which are in use."""
        heard = {
            "answered": self._hear_answer,
            "cancelled": self._hear_cancelled,
            "changed": self._hear_changed,
            "ended": self._hear_ended,
            "taken": self._hear_taken,
        }
        async with AsyncExitStack() as stack:
            for kind, follower in heard.items():
                await stack.enter_async_context(self._exchange.following(kind, follower))
            await stack.enter_async_context(self._exchange.restoring(self._restore))
            stack.enter_context(self._protocol.notices.followed(self._hear_notice))
            await stack.enter_async_context(running(self._keep_used))
            yield
            if self._copying:
                await asyncio.wait(self._copying, timeout=COPYING)

    def conversation(self, principal: Principal) -> Conversation:
        """One to begin a session with, once it has shaken hands."""
        return Conversation(self._protocol, principal, DOOR, requests=ask_as(self._exchange))

    async def begin(self, conversation: Conversation) -> str:
        """The id of a new session. While Redis is gone it serves on this replica alone, until Redis is back."""
        await self._close_idle()
        session_id = secrets.token_urlsafe(24)
        session = Session(self._name(session_id), conversation, self._exchange, self._exchange.position)
        await self._register.enter(self._add(session))
        return session_id

    async def find(self, session_id: str, principal: Principal) -> Session | None:
        """The session, or None where there is none for this principal: whose it is, is nobody else's business.

        Raises `ProtocolError` for one that only Redis would know, while Redis is gone.
        """
        name = self._name(session_id)
        session = self._open.get(name)
        if session is not None and self._is_idle(session):
            await self._close(name)
            session = None
        session = session or await self._meet(name, principal)
        if session is None or session.conversation.principal.identity != principal.identity:
            return None
        session.used = time.monotonic()
        self._open.move_to_end(name)
        return session

    async def hear(self, session: Session, message: Message) -> None:
        """Take what is no request, or pass it on to where it is waited for. Raises `ProtocolError`."""
        request = cancelled_id(message)
        try:
            if message.method is None and (replica := _asker(message.id)) not in (None, self._exchange.id):
                answer = [message.id, message.result, message.error]
                await self._exchange.tell("answered", session.name, answer, to=replica)
            elif request is not None and request not in session.running and not self._exchange.alone:
                if len(str(request)) <= LONGEST_ID:
                    await self._exchange.tell("cancelled", session.name, request)
            else:
                session.running.hear(message)
        except RedisGone:
            raise unreachable() from None

    def begin_stream(self, session: Session, request: RequestId) -> EventStream:
        """A stream for one request, which is copied once its client could come back for it to another replica."""
        return session.begin_stream(None if self._exchange.alone else partial(self._copy, session, request))

    async def listen(self, request: web.Request, session: Session, event_id: str | None) -> web.StreamResponse:
        """Serve the stream that an event was on, from there; the session's own where none is named or known.

        Raises `ProtocolError` for one that only Redis would know, while Redis is gone.
        """
        name, _, place = (event_id or "").partition("-")
        if name == STANDALONE or not (place.isascii() and place.isdigit() and len(place) < 10):
            after = place if is_position(place) else None
            return await session.standalone.serve(request, after, partial(self._take_over, session))
        stream = session.stream(name)
        if stream is not None:
            return await stream.serve(request, int(place))
        lost = await self._lost(session, name)
        if lost is None:
            return await session.standalone.serve(request, None, partial(self._take_over, session))
        async with running(lost.follow):
            return await lost.stream.serve(request, int(place))

    async def end(self, session: Session) -> None:
        """The client ends its session, everywhere."""
        await self._close(session.name)
        await self._register.end(session.name)
        with suppress(RedisGone):  # others find it ended when Redis is back
            await self._exchange.tell("ended", session.name)

    async def close(self) -> None:
        """Close the views of this replica; the sessions go on, on others."""
        await self._close_all(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def _name(self, session_id: str) -> str:
        return f"{self._protocol.toolset.name}:{blake2b(session_id.encode(), digest_size=16).hexdigest()}"

    def _add(self, session: Session) -> Session:
        session.conversation.changing = partial(self._changing, session)
        return self._open.setdefault(session.name, session)

    async def _meet(self, name: str, principal: Principal) -> Session | None:
        """A view of a session that was not used on this replica yet."""
        record = await self._register.find(name)
        if record is None or record.identity != principal.identity:
            return None
        await self._close_idle()
        return self._add(Session.of(name, record, principal, self._protocol, self._exchange, DOOR))

    @asynccontextmanager
    async def _changing(self, session: Session) -> AsyncIterator[None]:
        """Change the record by what changes in the view meanwhile. Others may be changing it too."""
        conversation = session.conversation
        level, before = conversation.log_level, set(conversation.subscribed)
        yield
        added, dropped = conversation.subscribed - before, before - conversation.subscribed
        changed = None if conversation.log_level == level else conversation.log_level
        subscribed = {uri: session.subscribed.get(uri, self._exchange.position) for uri in conversation.subscribed}
        session.take(msgspec.structs.replace(session.record(), subscribed=subscribed))

        def change(record: Record) -> Record:
            kept = {uri: place for uri, place in record.subscribed.items() if uri not in dropped}
            merged = kept | {uri: subscribed[uri] for uri in added}
            return msgspec.structs.replace(record, log_level=changed or record.log_level, subscribed=merged)

        if await self._register.change(session, change):
            with suppress(RedisGone):
                await self._exchange.tell("changed", session.name)

    async def _keep_used(self) -> None:
        """From time to time, let the store keep the records of sessions that were used here."""
        while True:
            since = time.monotonic()
            await asyncio.sleep(KEEP)
            used = [item for item in self._open.values() if item.used >= since or item.standalone.connected]
            await self._close_all(await self._register.keep(used))

    async def _restore(self) -> None:
        await self._close_all(await self._register.restore(list(self._open.values())))

    async def _close(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is not None:
            await session.close()

    async def _close_all(self, names: Iterable[str]) -> None:
        for name in names:
            await self._close(name)

    def _is_idle(self, session: Session) -> bool:
        return session.used + self._idle < time.monotonic() and not session.standalone.connected

    async def _close_idle(self) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            if len(self._open) < self._most and not self._is_idle(oldest):
                return
            await self._close(oldest.name)

    def _copy(self, session: Session, request: RequestId, stream: EventStream) -> None:
        task = asyncio.create_task(copy(stream, self._exchange, _box(session.name, stream.name), request))
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    async def _lost(self, session: Session, name: str) -> Copy | None:
        """A stream of a request that ran on another replica, if the store has it."""
        replica, _, number = name.partition(".")
        if replica == self._exchange.id or not (replica.isalnum() and number.isascii() and number.isdigit()):
            return None
        stream = EventStream(name, polling=session.polling)
        lost = Copy(stream, self._exchange, _box(session.name, name), replica)
        try:
            return lost if await lost.found() else None
        except RedisGone:
            raise unreachable() from None

    async def _take_over(self, session: Session, connection: str) -> None:
        """A message must not be sent on two streams: whoever has the session's own elsewhere lets it go."""
        if not self._exchange.alone:
            with suppress(RedisGone):
                await self._exchange.tell("taken", session.name, connection)

    def _hear_notice(self, notice: Notice) -> None:
        for session in self._open.values():
            session.standalone.hear(notice, self._exchange.position)

    async def _hear_answer(self, told: Told) -> None:
        session = self._open.get(told.about)
        if session is not None:
            id, result, error = told.data
            session.conversation.requests.resolve(Message(None, {}, id, result, error))

    async def _hear_cancelled(self, told: Told) -> None:
        session = self._open.get(told.about)
        if session is not None:
            session.running.cancel(told.data)

    async def _hear_changed(self, told: Told) -> None:
        session = self._open.get(told.about)
        if session is not None:
            await self._register.refresh(session)

    async def _hear_ended(self, told: Told) -> None:
        await self._close(told.about)

    async def _hear_taken(self, told: Told) -> None:
        session = self._open.get(told.about)
        if session is not None:
            session.standalone.taken(told.data)


SESSIONS = web.AppKey("sessions", Sessions)


def _box(name: str, stream: str) -> str:
    return f"{PREFIX}events:{name}:{stream}"


def _asker(id: RequestId | None) -> str | None:
    """The replica that asked the question of this id."""
    parts = id.split("-") if isinstance(id, str) else []
    return parts[1] if len(parts) == 3 and parts[0] == "ask" and parts[1].isalnum() and len(parts[1]) < 40 else None
