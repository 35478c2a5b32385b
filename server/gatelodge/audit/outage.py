"""Operators are told when a server cannot write its audit, and when it can again."""

from __future__ import annotations

import asyncio
import time

from ..processes.replica import replica
from ..webhooks.message import Message
from ..webhooks.outbox import MemoryOutbox

GRACE = 5.0
"""Seconds that an outage lasts before anybody is told: a restart of Postgres is shorter."""


class Outage:
    """Follows a writer. It is told of by this process itself, since Postgres is what fails; so each server tells."""

    def __init__(self, outbox: MemoryOutbox) -> None:
        self._outbox = outbox
        self._began = 0.0
        self._told = False
        self._waiting: asyncio.TimerHandle | None = None

    def __enter__(self) -> Outage:
        return self

    def __exit__(self, *raised: object) -> None:
        self._forget()

    def follow(self, failing: str | None) -> None:
        """The error's name when writing begins to fail, None when it is well again."""
        if failing is not None:
            self._began = time.monotonic()
            self._waiting = asyncio.get_running_loop().call_later(GRACE, self._tell, failing)
            return
        self._forget()
        if self._told:
            self._told = False
            lasted = round(time.monotonic() - self._began)
            text = f"{replica()} writes its audit again, after {lasted} s."
            data = {"replica": replica(), "seconds": lasted}
            self._outbox.add(Message(type="audit.recovered", text=text, data=data))

    def _tell(self, failing: str) -> None:
        self._told = True
        text = f"{replica()} cannot write its audit ({failing}), so writes are refused."
        self._outbox.add(Message(type="audit.failing", text=text, data={"replica": replica(), "error": failing}))

    def _forget(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
