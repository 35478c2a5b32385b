"""Multi round-trip requests: questions that end a call, and the sealed state its client brings back with the answers.

Source: MCP 2026-07-28, "Multi Round-Trip Requests".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ..contract import Principal
from ..errors import ToolError
from ..questions import Answer, Form, InputRequired, Question
from ..signing import derive
from . import asking
from .jsonrpc import INVALID_PARAMS, Message, ProtocolError
from .revisions import Revision

STATE_SECONDS = 600
"""How long a client may take for one round."""

MAC_BYTES = 32
PER_ROUND = frozenset({"_meta", "inputResponses", "requestState"})


@dataclass(frozen=True, slots=True)
class State:
    """What a client carries from round to round: the keys it was asked, its answers so far, and what names this call.

    `nonce` is made when a call first asks, and stays the same however often its client sends the answers.
    """

    nonce: str
    asked: frozenset[str] = frozenset()
    answers: Mapping[str, Any] = field(default_factory=dict)


class Sealer:
    """Signs a state for the same principal and the same request, until it expires."""

    def __init__(self, secret: str | None) -> None:
        self._key = derive(secret, "request state")

    def seal(self, binding: Any, state: State) -> str:
        raw = msgspec.json.encode([int(time.time()) + STATE_SECONDS, state])
        return base64.urlsafe_b64encode(self._mac(binding, raw) + raw).decode()

    def open(self, binding: Any, state: str) -> State:
        """Raises `ProtocolError` for a state that is not ours, is another caller's or request's, or is too old."""
        try:
            sealed = base64.b64decode(state, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        mac, raw = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(binding, raw)):
            raise ProtocolError(INVALID_PARAMS, "requestState: it was not made for this request")
        expires, found = msgspec.json.decode(raw, type=tuple[int, State])
        if expires < time.time():
            raise ProtocolError(INVALID_PARAMS, "requestState: it has expired; send the request anew")
        return found

    def _mac(self, binding: Any, raw: bytes) -> bytes:
        return hmac.digest(self._key, msgspec.json.encode([binding, raw], order="deterministic"), "sha256")


class RoundTrips:
    """The questions of one request: answered from what the client brought along, or left for it to answer.

    A client may answer before it is asked, but not what only counts when it was asked. `key` is the idempotency key that
    stands outside of the parameters: under another one, it is another request.
    """

    def __init__(
        self, sealer: Sealer, message: Message, principal: Principal, revision: Revision, key: object = None
    ) -> None:
        what = {name: value for name, value in message.params.items() if name not in PER_ROUND}
        self._binding = [principal.identity, message.method, what, key]
        self._sealer = sealer
        self._revision = revision
        self._state, self._given = self._brought(message)
        self._used: dict[str, Any] = {}

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        """The answers, or `InputRequired`. An answer that does not fit its question counts as none."""
        found, open_questions = {}, {}
        for key, question in questions.items():
            try:
                if isinstance(question, Form) and question.consent and key not in self._state.asked:
                    raise KeyError(key)
                found[key] = self._named(asking.answer(question, self._given[key]))
                self._used[key] = self._given[key]
            except (KeyError, ToolError):
                open_questions[key] = question
        if open_questions:
            raise InputRequired(open_questions)
        return found

    def result(self, questions: Mapping[str, Question[Any]]) -> dict[str, Any]:
        """`InputRequiredResult`."""
        state = State(self._state.nonce, self._state.asked.union(questions), self._used)
        return {
            "resultType": "input_required",
            "inputRequests": {key: asking.request(item, self._revision) for key, item in questions.items()},
            "requestState": self._sealer.seal(self._binding, state),
        }

    def _named(self, answer: Any) -> Any:
        return replace(answer, nonce=self._state.nonce) if isinstance(answer, Answer) else answer

    def _brought(self, message: Message) -> tuple[State, dict[str, Any]]:
        sealed, responses = message.params.get("requestState"), message.params.get("inputResponses", {})
        if not isinstance(responses, dict) or not all(isinstance(item, dict) for item in responses.values()):
            raise ProtocolError(INVALID_PARAMS, "inputResponses: must be an object of results")
        if sealed is None:
            return State(secrets.token_hex(16)), responses
        if not isinstance(sealed, str):
            raise ProtocolError(INVALID_PARAMS, "requestState: must be a string")
        state = self._sealer.open(self._binding, sealed)
        return state, {**state.answers, **responses}
