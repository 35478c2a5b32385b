"""One session of an older revision: what every replica knows of it, and one replica's view of it."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from ..contract import LogLevel, Principal
from ..protocol.asking import ServerRequests
from ..protocol.conversation import Conversation
from ..protocol.methods import Protocol
from ..protocol.revisions import REVISIONS
from ..replicas.exchange import Exchange
from .resumable import EventStream
from .running import Running
from .standalone import Standalone

KEPT_STREAMS = 32
"""How many ended streams of a session are kept for a client that lost the end of one."""

Opened = Callable[["Session", EventStream], None]


class Record(msgspec.Struct, frozen=True):
    """A session in the shared store. `subscribed` has the resources, each with the place in the log it is heard from."""

    identity: tuple[str, str, str, str | None]
    revision: str
    capabilities: dict[str, Any]
    log_level: LogLevel
    subscribed: dict[str, str]
    since: str


class Session:
    """A conversation over Streamable HTTP: its requests under way here, and its streams, also those a client may resume.

    `name` is what replicas call it: not the id that its client holds, which only that client should know. `kept` says
    whether the shared store has all of it.
    """

    def __init__(self, name: str, conversation: Conversation, exchange: Exchange, since: str) -> None:
        self.name = name
        self.conversation = conversation
        self.running = Running(conversation)
        self.used = time.monotonic()
        self.kept = True
        self.since = since
        self.subscribed: dict[str, str] = {}
        revision = conversation.revision
        self.polling = revision is not None and revision.polling
        self._exchange = exchange
        self._numbers = itertools.count(1)
        self._streams: OrderedDict[str, EventStream] = OrderedDict()
        self.standalone = Standalone(conversation, exchange, since, self.subscribed)

    @classmethod
    def of(
        cls, name: str, record: Record, principal: Principal, protocol: Protocol, exchange: Exchange, door: str
    ) -> Session:
        """A view of a session that another replica, or an earlier one, has put into the store."""
        conversation = Conversation(
            protocol,
            principal,
            door,
            REVISIONS[record.revision],
            capabilities=record.capabilities,
            requests=ask_as(exchange),
        )
        session = cls(name, conversation, exchange, record.since)
        session.take(record)
        return session

    def record(self) -> Record:
        """What the shared store should hold."""
        revision = self.conversation.revision
        assert revision is not None
        return Record(
            identity=self.conversation.principal.identity,
            revision=revision.name,
            capabilities=dict(self.conversation.capabilities),
            log_level=self.conversation.log_level,
            subscribed=dict(self.subscribed),
            since=self.since,
        )

    def take(self, record: Record) -> None:
        """Have the level and the subscriptions that the store holds."""
        self.conversation.log_level = record.log_level
        self.conversation.subscribed = set(record.subscribed)
        self.subscribed.clear()
        self.subscribed.update(record.subscribed)

    def begin_stream(self, opened: Callable[[EventStream], None] | None = None) -> EventStream:
        """A stream for one request."""
        stream = EventStream(f"{self._exchange.id}.{next(self._numbers)}", polling=self.polling, opened=opened)
        self._streams[stream.name] = stream
        ended = [name for name, item in self._streams.items() if item.ended]
        for name in ended[:-KEPT_STREAMS]:
            del self._streams[name]
        return stream

    def stream(self, name: str) -> EventStream | None:
        """The stream of a request that runs or ran here."""
        return self._streams.get(name)

    async def close(self) -> None:
        """Cancel what runs here and end every stream."""
        self.running.stop()
        self.standalone.end()
        for stream in self._streams.values():
            await stream.finish(None)


def ask_as(exchange: Exchange) -> ServerRequests:
    """Requests to a client whose ids say which replica waits for the answers."""
    return ServerRequests(f"ask-{exchange.id}-")
