"""The records of sessions in the shared store: kept while they are used, put back where Redis lost them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import msgspec

from ..protocol.jsonrpc import INTERNAL_ERROR, ProtocolError
from ..replicas.exchange import PREFIX, Exchange
from ..storage.breaker import RedisGone
from .session import Record, Session

BATCH = 200
ENDED = b""
"""Stands in place of the record of a session whose client has ended it, for replicas that have not heard of that."""

_decoder = msgspec.json.Decoder(Record)


def unreachable() -> ProtocolError:
    """For a client that should try again: what it asks for is on another replica, and the way there is down."""
    message = "The state of this session cannot be reached just now; try again"
    return ProtocolError(INTERNAL_ERROR, message, status=503)


class Register:
    """A record lasts for `idle` seconds after its last use. What Redis could not be told it is told when it is back."""

    def __init__(self, exchange: Exchange, *, idle: float) -> None:
        self._exchange = exchange
        self._idle = idle
        self._ended: set[str] = set()

    async def enter(self, session: Session) -> None:
        """Let other replicas find a new session."""
        try:
            await self._exchange.run(partial(self._put, session))
        except RedisGone:
            session.kept = False

    async def find(self, name: str) -> Record | None:
        """The record of a session that has not ended. Raises `ProtocolError` while that cannot be known."""
        try:
            (data,) = await self._exchange.run(lambda: self._exchange.shared.touch([_key(name)], ttl=self._idle))
        except RedisGone:
            raise unreachable() from None
        return _decoder.decode(data) if data else None

    async def refresh(self, session: Session) -> None:
        """Let a view have what another replica has changed."""
        with suppress(RedisGone):
            (data,) = await self._exchange.run(lambda: self._exchange.shared.get(_key(session.name)))
            if data:
                session.take(_decoder.decode(data))

    async def change(self, session: Session, change: Callable[[Record], Record]) -> bool:
        """Change the record, though others may be changing it too, and the view with it. False while Redis is gone."""
        try:
            while not await self._exchange.run(lambda: self._swap(session, change)):
                continue
        except RedisGone:
            session.kept = False
        return session.kept

    async def end(self, name: str) -> None:
        """Let the session be over for every replica."""
        self._ended.add(name)
        with suppress(RedisGone):
            await self._exchange.run(self._bury)

    async def keep(self, sessions: list[Session]) -> list[str]:
        """Keep the records of these, which are in use. Answers the names of those that ended elsewhere."""
        ended: list[str] = []
        with suppress(RedisGone):
            for batch in _batches(sessions):
                ended += await self._exchange.run(partial(self._keep, batch))
        return ended

    async def restore(self, sessions: list[Session]) -> list[str]:
        """The same once Redis is back or was emptied, with all that it was not told. Raises what the store raises."""
        await self._bury()
        return [name for batch in _batches(sessions) for name in await self._keep(batch)]

    async def _swap(self, session: Session, change: Callable[[Record], Record]) -> bool:
        key, shared = _key(session.name), self._exchange.shared
        (data,) = await shared.get(key)
        if not data:
            await self._put(session)
            return True
        record = change(_decoder.decode(data))
        done = await shared.swap(key, data, msgspec.json.encode(record), ttl=self._idle)
        if done:
            session.take(record)
        return done

    async def _put(self, session: Session) -> None:
        await self._exchange.shared.put(_key(session.name), msgspec.json.encode(session.record()), ttl=self._idle)
        session.kept = True

    async def _bury(self) -> None:
        for name in list(self._ended):
            await self._exchange.shared.put(_key(name), ENDED, ttl=self._idle)
            self._ended.discard(name)

    async def _keep(self, sessions: list[Session]) -> list[str]:
        found = await self._exchange.shared.touch([_key(item.name) for item in sessions], ttl=self._idle)
        for session, data in zip(sessions, found, strict=True):
            if data is None or (data != ENDED and not session.kept):
                await self._put(session)
        return [session.name for session, data in zip(sessions, found, strict=True) if data == ENDED]


def _key(name: str) -> str:
    return f"{PREFIX}session:{name}"


def _batches(sessions: list[Session]) -> Iterable[list[Session]]:
    return (sessions[start : start + BATCH] for start in range(0, len(sessions), BATCH))
