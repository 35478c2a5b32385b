"""Sessions of the older revisions, by id. Each serves only the principal that opened it, and ends when left alone."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from ..contract import Principal
from ..protocol.conversation import Conversation


class Sessions:
    """In this process. `idle` is in seconds; beyond `most` sessions the one longest unused is ended."""

    def __init__(self, *, idle: float = 3600.0, most: int = 10_000) -> None:
        self._idle = idle
        self._most = most
        self._open: OrderedDict[str, tuple[float, Conversation]] = OrderedDict()

    def begin(self, conversation: Conversation) -> str:
        """The id of a new session."""
        self._end_idle()
        session_id = secrets.token_urlsafe(24)
        self._open[session_id] = (time.monotonic(), conversation)
        return session_id

    def find(self, session_id: str, principal: Principal) -> Conversation | None:
        """The session, or None where there is none for this principal: whose it is, is nobody else's business."""
        found = self._open.get(session_id)
        if found is None or not _same(found[1].principal, principal) or found[0] + self._idle < time.monotonic():
            return None
        self._open[session_id] = (time.monotonic(), found[1])
        self._open.move_to_end(session_id)
        return found[1]

    def end(self, session_id: str) -> None:
        self._open.pop(session_id, None)

    def __len__(self) -> int:
        return len(self._open)

    def _end_idle(self) -> None:
        limit = time.monotonic() - self._idle
        while self._open:
            used, _ = next(iter(self._open.values()))
            if used > limit and len(self._open) < self._most:
                return
            self._open.popitem(last=False)


def _same(one: Principal, other: Principal) -> bool:
    return (one.tenant, one.user, one.method, one.key_id) == (other.tenant, other.user, other.method, other.key_id)
