"""What a client and a server say to each other, each message checked by the schema of its revision as it passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import jsonschema_rs

from .schema import SESSIONS, STATELESS, check_request, check_response

Message = dict[str, Any]
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"


class Conversation:
    """One session, one pipe, or one stateless exchange: whose revision and open requests are its own."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._revision: str | None = None
        self._asked: dict[tuple[bool, Any], tuple[str, str]] = {}

    def pass_on(self, message: Any, *, by_server: bool) -> None:
        """Take note of a message, or of a batch of them."""
        for item in message if isinstance(message, list) else [message]:
            revision, method, check = self._subject(item, by_server)
            self._transcript.note(item, revision, method, check, by_server=by_server)

    def _subject(self, message: Message, by_server: bool) -> tuple[str, str, Callable[[], None]]:
        """Its revision, the method it is or answers, and its check."""
        method = message.get("method")
        if method is None:
            revision, method = self._asked.pop((not by_server, message.get("id")), (self._newest, "unasked"))
            if method == "initialize" and "result" in message:
                revision = self._revision = message["result"]["protocolVersion"]
            return revision, method, lambda: check_response(revision, method, message)
        params = message.get("params") or {}
        claimed = (
            params.get("protocolVersion") if method == "initialize" else (params.get("_meta") or {}).get(VERSION_KEY)
        )
        revision = claimed if claimed in (STATELESS, *SESSIONS) else self._newest
        if "id" in message:
            self._asked[by_server, message["id"]] = revision, method
        return revision, method, lambda: check_request(revision, message, by_server=by_server)

    @property
    def _newest(self) -> str:
        return self._revision or STATELESS


class Transcript:
    """Everything that was said, counted by revision, side and method; `violations` should stay empty."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str, str]] = Counter()
        self.violations: list[str] = []

    def conversation(self) -> Conversation:
        return Conversation(self)

    def note(self, message: Message, revision: str, method: str, check: Callable[[], None], *, by_server: bool) -> None:
        side = "server" if by_server else "client"
        self.counted[revision, side, method] += 1
        try:
            check()
        except (jsonschema_rs.ValidationError, KeyError, TypeError) as error:
            self.violations.append(f"{side}, {revision}, {method}: {str(error).splitlines()[0]}: {message}")
