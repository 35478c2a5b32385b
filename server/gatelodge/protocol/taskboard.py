"""The tasks of all replicas. Source: MCP extension `io.modelcontextprotocol/tasks`.

A task runs in one process, whose name its id begins with; what it shows is in the shared store, as long as its `ttl` says,
so any replica can show it, and passes on what its client answers or cancels.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import Any

import msgspec

from ..contract import Principal
from ..errors import ErrorCode, ToolError
from ..notices import Notice, Notices
from ..questions import TASKS, Question
from ..replicas.exchange import PREFIX, Exchange, running
from ..replicas.seal import Told
from ..storage.breaker import RedisGone
from .jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, MISSING_CAPABILITY, Message, ProtocolError
from .parameters import mapping, string
from .revisions import Revision
from .roundtrip import RoundTrips
from .tasks import OVER, Task, Wire, declared, failure

MOST_TASKS = 1000
"""Tasks in one process; beyond that none is begun."""
ANSWERED, CANCELLED = "task answered", "task cancelled"
PACE = 0.05
"""Seconds between two looks at what has changed, so that a task that tells of each step costs little."""
ENDING = 2.0


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A task in the shared store: whose it is, and what `tasks/get` shows."""

    identity: tuple[str, str, str, str | None]
    wire: Wire


_decoder = msgspec.json.Decoder(Record)


class Tasks:
    """Those that run here, by id, and the way to the others. `scope` keeps listeners apart."""

    def __init__(self, notices: Notices, exchange: Exchange, scope: str) -> None:
        self._notices = notices
        self._exchange = exchange
        self._scope = scope
        self._tasks: dict[str, Task] = {}
        self._changed: dict[Task, None] = {}
        self._news = asyncio.Event()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """While open, other replicas see the tasks of this one, and reach them."""
        async with (
            self._exchange.following(ANSWERED, self._hear_answers),
            self._exchange.following(CANCELLED, self._hear_cancelled),
            self._exchange.restoring(self._restore),
            running(self._show),
        ):
            yield

    def begin(self, principal: Principal, revision: Revision, ttl: float) -> Task:
        """Raises `rate_limited` where there are too many."""
        self._drop_expired()
        if len(self._tasks) >= MOST_TASKS:
            raise ToolError(ErrorCode.RATE_LIMITED, "Too many tasks are running here", retry_after=ttl)
        id = f"{self._exchange.id}.{secrets.token_urlsafe(24)}"
        task = self._tasks[id] = Task(id, principal, revision, ttl, self._note)
        return task

    async def publish(self, task: Task) -> None:
        """Let other replicas see it as it is. While Redis is gone they do so later."""
        self._changed.pop(task, None)
        with suppress(RedisGone):
            await self._exchange.run(lambda: self._put(task))

    async def look(self, id: str, principal: Principal) -> Wire | None:
        """The caller's task of this id, as `tasks/get` shows it. Raises `ProtocolError` while that cannot be known."""
        task = self._here(id, principal)
        return await self._far(id, principal) if task is None else task.wire()

    async def get(self, message: Message, principal: Principal) -> Wire:
        return await self._known(_id(message), principal)

    async def update(self, message: Message, principal: Principal) -> Wire:
        id, responses = _id(message), mapping(message, "inputResponses")
        task = self._here(id, principal)
        if task is not None:
            task.answer(responses)
        else:
            await self._pass_on(ANSWERED, id, principal, responses)
        return {}

    async def cancel(self, message: Message, principal: Principal) -> Wire:
        id = _id(message)
        task = self._here(id, principal)
        if task is not None:
            task.cancel()
        else:
            await self._pass_on(CANCELLED, id, principal)
        return {}

    async def end(self) -> None:
        """Cancel whatever runs, and let that be seen."""
        works = [task.work for task in self._tasks.values() if task.work is not None and not task.work.done()]
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works, timeout=ENDING)
            await asyncio.sleep(0)  # for the tasks to take the outcome
        await self._show_changed()

    def _here(self, id: str, principal: Principal) -> Task | None:
        self._drop_expired()
        task = self._tasks.get(id)
        return task if task is not None and task.principal.identity == principal.identity else None

    async def _known(self, id: str, principal: Principal) -> Wire:
        wire = await self.look(id, principal)
        if wire is None:
            raise ProtocolError(INVALID_PARAMS, "taskId: there is no such task", status=200)
        return wire

    async def _far(self, id: str, principal: Principal) -> Wire | None:
        """A task of another replica. One whose replica is gone has failed, and nobody knows how far it came."""
        replica = id.partition(".")[0]
        if replica == self._exchange.id or not replica.isalnum():
            return None
        try:
            (data,) = await self._exchange.run(lambda: self._exchange.shared.get(self._key(id)))
            record = _decoder.decode(data) if data else None
            if record is None or record.identity != principal.identity:
                return None
            if record.wire["status"] in OVER or await self._exchange.alive(replica):
                return record.wire
        except RedisGone:
            message = "The task cannot be reached just now; try again"
            raise ProtocolError(INTERNAL_ERROR, message, status=503) from None
        wire = {name: value for name, value in record.wire.items() if name != "inputRequests"}
        lost = "The server process that ran this task is gone; whether it took effect is not known."
        return wire | {"status": "failed"} | failure(ToolError(ErrorCode.OUTCOME_UNKNOWN, lost))

    async def _pass_on(self, kind: str, id: str, principal: Principal, data: Any = None) -> None:
        wire = await self._known(id, principal)
        if wire["status"] in OVER:
            return
        try:
            await self._exchange.tell(kind, f"{self._scope}:{id}", data, to=id.partition(".")[0])
        except RedisGone:
            message = "The task cannot be reached just now; try again"
            raise ProtocolError(INTERNAL_ERROR, message, status=503) from None

    async def _hear_answers(self, told: Told) -> None:
        task = self._about(told)
        if task is not None:
            task.answer(told.data)

    async def _hear_cancelled(self, told: Told) -> None:
        task = self._about(told)
        if task is not None:
            task.cancel()

    def _about(self, told: Told) -> Task | None:
        scope, _, id = told.about.partition(":")
        return self._tasks.get(id) if scope == self._scope else None

    def _note(self, task: Task) -> None:
        self._changed[task] = None
        self._news.set()

    async def _show(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._show_changed()
            await asyncio.sleep(PACE)

    async def _show_changed(self) -> None:
        changed = list(self._changed)
        self._changed.clear()
        for task in changed:
            await self.publish(task)
            self._notices.tell(Notice("task", task.id))

    async def _restore(self) -> None:
        for task in list(self._tasks.values()):
            await self._put(task)

    async def _put(self, task: Task) -> None:
        left = task.expires - time.monotonic()
        if left > 0 and not self._exchange.alone:
            data = msgspec.json.encode(Record(task.principal.identity, task.wire()))
            await self._exchange.shared.put(self._key(task.id), data, ttl=left)

    def _key(self, id: str) -> str:
        return f"{PREFIX}task:{self._scope}:{blake2b(id.encode(), digest_size=16).hexdigest()}"

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for id in [id for id, task in self._tasks.items() if task.expires < now]:
            self._tasks.pop(id).cancel()


class Offer:
    """What a handler may take up: to answer this call with a task. Until then its questions are round trips."""

    def __init__(self, tasks: Tasks, trips: RoundTrips, principal: Principal, revision: Revision) -> None:
        self.task: Task | None = None
        self.taken = asyncio.Event()
        self._tasks = tasks
        self._trips = trips
        self._principal = principal
        self._revision = revision

    def take(self, ttl: float) -> None:
        if self.task is None:
            self.task = self._tasks.begin(self._principal, self._revision, ttl)
            self.taken.set()

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        return await (self._trips if self.task is None else self.task).ask(questions)


def _id(message: Message) -> str:
    if not declared(message):
        data = {"requiredCapabilities": dict(TASKS)}
        raise ProtocolError(MISSING_CAPABILITY, "The client has not declared the tasks extension", data=data)
    return string(message, "taskId")
