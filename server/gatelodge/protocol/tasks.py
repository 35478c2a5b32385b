"""Long-running tasks: calls that were answered with a task to poll. Source: MCP extension `io.modelcontextprotocol/tasks`.

`taskboard` is where the tasks of all replicas are found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..contract import Principal, Result
from ..errors import ErrorCode, ToolError, describe
from ..questions import TASKS, Question
from . import asking
from .jsonrpc import INTERNAL_ERROR, Message
from .parameters import CAPABILITIES_KEY
from .revisions import Revision

POLL_MS = 1000
OVER = frozenset({"completed", "failed", "cancelled"})
Wire = dict[str, Any]
Render = Callable[[Result], Wire]


class Task:
    """One call that goes on in the background: its state, what it asks, and in the end its result or error."""

    def __init__(
        self, id: str, principal: Principal, revision: Revision, ttl: float, changed: Callable[[Task], None]
    ) -> None:
        self.id = id
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

    @property
    def over(self) -> bool:
        return self._status in OVER

    def _settle(self, done: asyncio.Future[Result], render: Render, request_id: str) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            self._set("cancelled")
        elif error is not None or (done.result().error is not None and _is_internal(done.result())):
            message = "The server failed; its log has the cause under this request id."
            self._end = failure(ToolError(ErrorCode.INTERNAL, message), request_id)
            self._set("failed")
        else:
            self._end = {"result": render(done.result())}
            self._set("completed")

    def _set(self, status: str) -> None:
        self._status = status
        self._updated = datetime.now(UTC)
        self._changed(self)


def failure(error: ToolError, request_id: str = "") -> Wire:
    """What a failed task has in place of a result."""
    return {"error": {"code": INTERNAL_ERROR, "message": error.message, "data": describe(error, request_id)}}


def declared(message: Message) -> bool:
    """Whether the client of a stateless request knows tasks."""
    capabilities = message.meta.get(CAPABILITIES_KEY)
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and all(name in extensions for name in TASKS["extensions"])


def _is_internal(result: Result) -> bool:
    return result.error is not None and result.error.code is ErrorCode.INTERNAL
