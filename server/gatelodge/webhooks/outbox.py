"""Where messages wait for their delivery: in Postgres with what they tell of, or in the process while Postgres may be gone.

One is tried at a time, oldest first: a receiver that was away must not hear that an alert is over before it began.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from .message import Message

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

CHANNEL = "gatelodge_webhook_messages"
LEASE = timedelta(seconds=30)
"""After which a message counts as not delivered whose server has died while it tried."""
AGE = timedelta(days=1)
"""After which a message is news no more."""
KEPT = timedelta(days=7)
"""How long messages can be looked up, delivered or not."""
CAPACITY = 100
"""Messages kept in the process; the oldest go first."""

ADD = "INSERT INTO webhook_messages (id, type, text, data, created_at) VALUES ($1, $2, $3, $4, $5)"
EXPIRE = """
UPDATE webhook_messages SET settled_at = now(), outcome = 'expired'
WHERE settled_at IS NULL AND created_at < now() - $1::interval AND due_at <= now()"""
# Who waits for another's claim sees `due_at` as it then is: the condition is tried again on the row that was waited for.
CLAIM = """
UPDATE webhook_messages SET attempts = attempts + 1, due_at = now() + $1
WHERE seq = (SELECT min(seq) FROM webhook_messages WHERE settled_at IS NULL) AND settled_at IS NULL AND due_at <= now()
RETURNING id, type, text, data, created_at, attempts"""
DELIVERED = "UPDATE webhook_messages SET settled_at = now(), outcome = 'delivered', error = NULL WHERE id = $1"
FAILED = "UPDATE webhook_messages SET due_at = now() + $2, error = $3 WHERE id = $1"
WAITING = "SELECT * FROM webhook_messages WHERE settled_at IS NULL ORDER BY seq"
FORGET = "DELETE FROM webhook_messages WHERE created_at < now() - $1::interval"


async def write(connection: Connection, message: Message) -> None:
    """Tell of what this transaction does, once it is committed."""
    await connection.execute(ADD, message.id, message.type, message.text, message.data, message.at)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many messages wait, and why the oldest was not taken at its last try."""

    count: int
    error: str | None


class Outbox(Protocol):
    """`news` is set when there may be something to claim."""

    news: asyncio.Event

    async def claim(self) -> Message | None:
        """The oldest message, if it is due; nobody else has it for a while."""

    async def delivered(self, message: Message) -> None: ...

    async def failed(self, message: Message, error: str, pause: float) -> None:
        """To be tried again after so many seconds."""

    async def backlog(self) -> Backlog: ...


class TableOutbox:
    """The `webhook_messages` table, which all servers share. Raises what Postgres raises."""

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool
        self.news = asyncio.Event()

    async def claim(self) -> Message | None:
        await self._pool.execute(EXPIRE, AGE)
        row = await self._pool.fetchrow(CLAIM, LEASE)
        return None if row is None else _message(row)

    async def delivered(self, message: Message) -> None:
        await self._pool.execute(DELIVERED, message.id)

    async def failed(self, message: Message, error: str, pause: float) -> None:
        await self._pool.execute(FAILED, message.id, timedelta(seconds=pause), error)

    async def backlog(self) -> Backlog:
        rows = await self._pool.fetch(WAITING)
        return Backlog(len(rows), rows[0]["error"] if rows else None)


class MemoryOutbox:
    """For what is told while Postgres may be gone. Never waits; `dropped` counts what there was no room for."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._waiting: deque[Message] = deque()
        self._capacity = capacity
        self._due_at = 0.0
        self._error: str | None = None
        self.news = asyncio.Event()
        self.dropped = 0

    def add(self, message: Message) -> None:
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self.news.set()

    async def claim(self) -> Message | None:
        if not self._waiting or time.monotonic() < self._due_at:
            return None
        self._waiting[0] = replace(self._waiting[0], attempts=self._waiting[0].attempts + 1)
        return self._waiting[0]

    async def delivered(self, message: Message) -> None:
        self._error = None
        self._remove(message)

    async def failed(self, message: Message, error: str, pause: float) -> None:
        self._error = error
        self._due_at = time.monotonic() + pause

    async def backlog(self) -> Backlog:
        return Backlog(len(self._waiting), self._error if self._waiting else None)

    def _remove(self, message: Message) -> None:
        """It may have made room for another while it was on its way."""
        if self._waiting and self._waiting[0].id == message.id:
            self._waiting.popleft()


async def forget_old(connection: Connection) -> int:
    """How many there were."""
    return int((await connection.execute(FORGET, KEPT)).split()[-1])


async def waiting(pool: Pool[Any]) -> list[tuple[Message, str | None]]:
    """What is not delivered yet, oldest first, each with the reason of its last failure."""
    return [(_message(row), row["error"]) for row in await pool.fetch(WAITING)]


def _message(row: Any) -> Message:
    return Message(
        id=row["id"],
        type=row["type"],
        text=row["text"],
        data=row["data"],
        at=row["created_at"],
        attempts=row["attempts"],
    )
