"""Long-running tasks: calls that were answered with a task to poll. Source: MCP extension `io.modelcontextprotocol/tasks`.

A task lives in the process that runs it, as long as its `ttl` says; `Mcp-Name` carries its id, so that a proxy can route by it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..contract import Principal, Result
from ..errors import ErrorCode, ToolError, describe
from ..notices import Notice, Notices
from ..questions import TASKS, Question
from . import asking
from .jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, MISSING_CAPABILITY, Message, ProtocolError
from .parameters import CAPABILITIES_KEY, mapping, string
from .revisions import Revision
from .roundtrip import RoundTrips

POLL_MS = 1000
MOST_TASKS = 1000
"""Tasks in one process; beyond that none is begun."""

Wire = dict[str, Any]
Render = Callable[[Result], Wire]


class Task:
    """One call that goes on in the background: its state, what it asks, and in the end its result or error."""

    def __init__(self, principal: Principal, revision: Revision, ttl: float, changed: Callable[[str], None]) -> None:
        self.id = secrets.token_urlsafe(24)
        self.principal = principal
        self.expires = time.monotonic() + ttl
        self.work: asyncio.Future[Result] | None = None
        self._revision = revision
        self._ttl = ttl
        self._changed = changed
        self._created = self._updated = datetime.now(UTC)
        self._status = "working"
        self._message: str | None = None
        self._end: Wire = {}
        self._open: dict[str, tuple[Question[Any], asyncio.Future[Any]]] = {}
        self._answers: dict[str, Any] = {}

    def wire(self) -> Wire:
        """The task as `tasks/get` shows it."""
        wire: Wire = {
            "taskId": self.id,
            "status": self._status,
            "createdAt": self._created.isoformat(),
            "lastUpdatedAt": self._updated.isoformat(),
            "ttlMs": int(self._ttl * 1000),
            "pollIntervalMs": POLL_MS,
        }
        if self._message is not None:
            wire["statusMessage"] = self._message
        if self._status == "input_required":
            wire["inputRequests"] = {
                key: asking.request(question, self._revision)
                for key, (question, answer) in self._open.items()
                if not answer.done()
            }
        return wire | self._end

    def note(self, message: str | None) -> None:
        """Progress of a task is its status message."""
        if message is not None:
            self._message = message
            self._set(self._status)

    def follow(self, work: asyncio.Future[Result], render: Render, request_id: str) -> None:
        """Take the outcome of the call when it has one."""
        self.work = work
        work.add_done_callback(lambda done: self._settle(done, render, request_id))

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        """Wait in the state `input_required` until `answer` has had them all."""
        loop = asyncio.get_running_loop()
        self._open = {key: (item, loop.create_future()) for key, item in questions.items() if key not in self._answers}
        if self._open:
            self._set("input_required")
            self._answers |= {key: await answer for key, (_, answer) in self._open.items()}
            self._open = {}
            self._set("working")
        return {key: self._answers[key] for key in questions}

    def answer(self, responses: Mapping[str, Any]) -> None:
        """Take answers to open questions; what was not asked, was answered already or does not fit is left alone."""
        for key in responses.keys() & self._open.keys():
            question, waiting = self._open[key]
            try:
                answer = asking.answer(question, responses[key])
            except ToolError:
                continue
            if not waiting.done():
                waiting.set_result(answer)
        self._set(self._status)

    def cancel(self) -> None:
        if self.work is not None:
            self.work.cancel()

    def _settle(self, done: asyncio.Future[Result], render: Render, request_id: str) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            self._set("cancelled")
        elif error is not None or (done.result().error is not None and _is_internal(done.result())):
            message = "The server failed; its log has the cause under this request id."
            data = describe(ToolError(ErrorCode.INTERNAL, message), request_id)
            self._end = {"error": {"code": INTERNAL_ERROR, "message": message, "data": data}}
            self._set("failed")
        else:
            self._end = {"result": render(done.result())}
            self._set("completed")

    def _set(self, status: str) -> None:
        self._status = status
        self._updated = datetime.now(UTC)
        self._changed(self.id)


class Tasks:
    """The tasks of this process, by id."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._tasks: dict[str, Task] = {}

    def begin(self, principal: Principal, revision: Revision, ttl: float) -> Task:
        """Raises `rate_limited` where there are too many."""
        self._drop_expired()
        if len(self._tasks) >= MOST_TASKS:
            raise ToolError(ErrorCode.RATE_LIMITED, "Too many tasks are running here", retry_after=ttl)
        task = Task(principal, revision, ttl, lambda id: self._notices.tell(Notice("task", id)))
        self._tasks[task.id] = task
        return task

    def find(self, id: str, principal: Principal) -> Task | None:
        """The caller's task of this id."""
        self._drop_expired()
        task = self._tasks.get(id)
        return task if task is not None and task.principal.identity == principal.identity else None

    def get(self, message: Message, principal: Principal) -> Wire:
        return self._of(message, principal).wire()

    def update(self, message: Message, principal: Principal) -> Wire:
        self._of(message, principal).answer(mapping(message, "inputResponses"))
        return {}

    def cancel(self, message: Message, principal: Principal) -> Wire:
        self._of(message, principal).cancel()
        return {}

    def end(self) -> None:
        """Cancel whatever runs."""
        for task in self._tasks.values():
            task.cancel()

    def _of(self, message: Message, principal: Principal) -> Task:
        if not declared(message):
            data = {"requiredCapabilities": dict(TASKS)}
            raise ProtocolError(MISSING_CAPABILITY, "The client has not declared the tasks extension", data=data)
        task = self.find(string(message, "taskId"), principal)
        if task is None:
            raise ProtocolError(INVALID_PARAMS, "taskId: there is no such task", status=200)
        return task

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


def declared(message: Message) -> bool:
    """Whether the client of a stateless request knows tasks."""
    capabilities = message.meta.get(CAPABILITIES_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and all(name in extensions for name in TASKS["extensions"])


def _is_internal(result: Result) -> bool:
    return result.error is not None and result.error.code is ErrorCode.INTERNAL
