"""What a replica tells the others, and what it hears of them and of itself, in the one order that all of them hear."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ErrorCode, ToolError
from ..storage.breaker import UNREACHABLE, Breaker, RedisGone
from .memory import MemoryShared
from .redis import RedisShared
from .seal import Seal, Told
from .shared import START, Post, Shared, order

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

PREFIX = "gatelodge:"
LOG = f"{PREFIX}log"
MOST, KEPT = 4096, 3600.0
"""How many messages the log keeps, and for how many seconds after the last of them."""
INBOX_MOST, INBOX_KEPT = 1000, 60.0
ALIVE, BEAT = 15.0, 3.0
"""Seconds after which a replica that says nothing is taken for dead, and between two signs of life."""
CATCH_UP = 5.0
NOTICE = "notice"
PAUSE = 0.2
UNREAD = 60.0
"""Seconds that health tells of a message which could not be read."""

T = TypeVar("T")


Follower = Callable[[Told], Awaitable[None]]
Restore = Callable[[], Awaitable[None]]


class Exchange:
    """Without Redis the same over this process's memory. `id` names this replica in ids that come back to any of them.

    `keys` sign what is told: who can write to Redis, but does not know them, can tell replicas nothing.
    `position` is that of the message heard last. `counts` has the messages `sent`, `heard` and `unread`.
    """

    def __init__(self, redis: Redis | None = None, keys: Sequence[str] = ()) -> None:
        self.id = secrets.token_hex(5)
        self.position = START
        self.counts: Counter[str] = Counter()
        self._seal = Seal(keys)
        self.shared: Shared = MemoryShared() if redis is None else RedisShared(redis)
        self._breaker = None if redis is None else Breaker("replicas", redis, settle=self._settle)
        self._followers: dict[str, list[Follower]] = {}
        self._restores: list[Restore] = []
        self._inbox = _inbox(self.id)
        self._heard_here = START
        self._taken = asyncio.Event()
        self._joined = False
        self._unread_until = 0.0
        self._unsaid: dict[Told, None] = {}
        self._owed: dict[Told, None] = {}
        self._speak = asyncio.Event()
        self._recent: deque[tuple[str, Told]] = deque()
        self._recent_from = START

    @property
    def alone(self) -> bool:
        """Whether there can be no other replica."""
        return self._breaker is None

    @property
    def outages(self) -> int:
        """How often Redis went away."""
        return 0 if self._breaker is None else self._breaker.outages

    async def health(self) -> str:
        """Where the state of sessions is. Fails while Redis is gone, and where others sign with another secret."""
        if self._breaker is None:
            return "sessions are in this process"
        if self._breaker.open:
            raise RedisGone
        if time.monotonic() < self._unread_until:
            message = "messages of another replica cannot be read: GATELODGE_SECRET_KEY must be the same on all of them"
            raise ToolError(ErrorCode.UNAUTHORIZED, message)
        return f"sessions are in Redis; this is replica {self.id}"

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """For as long as clients are served."""
        async with AsyncExitStack() as stack:
            if self._breaker is not None:
                await stack.enter_async_context(self._breaker.lifespan())
            with suppress(RedisGone):
                await self.run(self._join)
            for work in (self._listen, self._say, self._live):
                await stack.enter_async_context(running(work))
            yield
        with suppress(RedisGone):
            await self.run(lambda: self.shared.drop(_life(self.id)))

    @asynccontextmanager
    async def following(self, kind: str, follower: Follower) -> AsyncIterator[None]:
        """While open, `follower` hears every message of a kind, one after the other. It should not take long."""
        self._followers.setdefault(kind, []).append(follower)
        try:
            yield
        finally:
            self._followers[kind].remove(follower)

    @asynccontextmanager
    async def restoring(self, restore: Restore) -> AsyncIterator[None]:
        """While open, `restore` puts back what Redis may have lost, whenever it is found again or found empty."""
        self._restores.append(restore)
        try:
            yield
        finally:
            self._restores.remove(restore)

    async def run(self, command: Callable[[], Awaitable[T]]) -> T:
        """The answer of a command to the store. Raises `RedisGone`."""
        return await (command() if self._breaker is None else self._breaker.run(command))

    async def tell(self, kind: str, about: str, data: Any = None, *, to: str | None = None) -> None:
        """Tell all replicas, or the one of that id, and return when they can hear it. Raises `RedisGone`."""
        message = self._seal.close(Told(kind, about, data))
        if to is None:
            await self.run(lambda: self.shared.post(LOG, message, most=MOST, ttl=KEPT))
        else:
            await self.run(lambda: self.shared.post(_inbox(to), message, most=INBOX_MOST, ttl=INBOX_KEPT))
        self.counts["sent"] += 1

    def notify(self, about: str, data: Any = None) -> None:
        """Tell all replicas soon; at once, but only this one, while Redis is gone: the others hear of it afterwards."""
        self._unsaid[Told(NOTICE, about, data)] = None
        self._speak.set()

    async def alive(self, replica: str) -> bool:
        """Whether that replica gives signs of life: where there is none, whether one comes by the next beat, for Redis may
        just have been emptied. Raises `RedisGone`.
        """
        return replica == self.id or await self._sign(replica) or await self._sign(replica, after=1.5 * BEAT)

    async def caught_up(self) -> None:
        """Return when all is heard that others had told this replica by now, or after a while. Raises `RedisGone`."""
        last = order(await self.run(lambda: self.shared.last(self._inbox)))
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while order(self._heard_here) < last:
                    self._taken.clear()
                    await self._taken.wait()

    async def notices(self, after: str) -> list[tuple[str, Told]]:
        """What was told as a notice after a position, with its own; as far as it is known while Redis is gone."""
        if order(after) < order(self._recent_from) and not self.alone:
            with suppress(RedisGone):
                posts = await self.run(lambda: self.shared.since(LOG, after))
                told = [(post.position, self._seal.open(post.data)) for post in posts]
                return [(position, item) for position, item in told if item is not None and item.kind == NOTICE]
        return [(position, item) for position, item in self._recent if order(position) > order(after)]

    async def _sign(self, replica: str, *, after: float = 0.0) -> bool:
        await asyncio.sleep(after)
        (sign,) = await self.run(lambda: self.shared.get(_life(replica)))
        return sign is not None

    async def _join(self) -> None:
        """Take the log's end for the beginning, once."""
        if not self._joined:
            self.position = self._recent_from = await self.shared.last(LOG)
            self._joined = True
        await self.shared.put(_life(self.id), b"1", ttl=ALIVE)

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear_next()
            except RedisGone:
                await asyncio.sleep(PAUSE)

    async def _hear_next(self) -> None:
        if not self._joined:
            await self.run(self._join)
        inbox, after = self._inbox, {LOG: self.position, self._inbox: self._heard_here}
        for post in await self.run(lambda: self.shared.read(after)):
            await self._take(post)
        if after[inbox] != self._heard_here:
            await self.run(lambda: self.shared.trim(inbox, self._heard_here))

    async def _take(self, post: Post) -> None:
        if post.box == LOG:
            self.position = post.position
        else:
            self._heard_here = post.position
        told = self._seal.open(post.data)
        if told is not None:
            await self._hear(told)
        else:
            self.counts["unread"] += 1
            self._unread_until = time.monotonic() + UNREAD
        self._taken.set()

    async def _hear(self, told: Told) -> None:
        self.counts["heard"] += 1
        if told.kind == NOTICE:
            self._remember(told)
        for follower in list(self._followers.get(told.kind, ())):
            try:
                await follower(told)
            except Exception:  # a follower reads what another version may have written; the next message must be heard
                logger.exception("a message of another replica was not understood", extra={"kind": told.kind})

    def _remember(self, told: Told) -> None:
        self._recent.append((self.position, told))
        if len(self._recent) > MOST:
            self._recent_from, _ = self._recent.popleft()

    async def _say(self) -> None:
        while True:
            await self._speak.wait()
            self._speak.clear()
            await self._say_all(list(self._unsaid))

    async def _say_all(self, said: list[Told]) -> None:
        self._unsaid.clear()
        try:
            await self.run(lambda: self._post(said))
        except RedisGone:
            self._owed |= dict.fromkeys(said)
            for told in said:
                await self._hear(told)

    async def _post(self, said: list[Told]) -> None:
        if said:
            await self.shared.post(LOG, *map(self._seal.close, said), most=MOST, ttl=KEPT)
            self.counts["sent"] += len(said)

    async def _live(self) -> None:
        """Give signs of life. One that is not there any more means that Redis has lost what it held."""
        while True:
            await asyncio.sleep(BEAT)
            with suppress(RedisGone, *UNREACHABLE):
                (sign,) = await self.run(lambda: self.shared.touch([_life(self.id)], ttl=ALIVE))
                if sign is None and self._joined:
                    await self._settle()

    async def _settle(self) -> None:
        """Redis is back, or empty: put there what it should hold, and say what it could not be told."""
        await self._join()
        for restore in list(self._restores):
            await restore()
        owed = list(self._owed)
        await self._post(owed)
        for told in owed:
            self._owed.pop(told, None)


def _inbox(replica: str) -> str:
    return f"{PREFIX}inbox:{replica}"


def _life(replica: str) -> str:
    return f"{PREFIX}replica:{replica}"


@asynccontextmanager
async def running(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """While open, this work goes on beside."""
    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        while not task.done():  # redis-py loses a cancellation now and then, when a connection is just being made
            task.cancel()
            await asyncio.wait({task}, timeout=PAUSE)
        with suppress(asyncio.CancelledError):
            await task
