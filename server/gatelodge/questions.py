"""Asking the client while a call runs: a form or a page for the user, a completion by the model, the workspace roots.

    answer = await call.ask("confirm", Form("Really delete it?", ConfirmSchema))
    if not answer.accepted: ...

The same handler works in both eras of the protocol. A session revision sends a request and the handler waits. In 2026-07-28
a server may not send requests: the call ends with `input_required`, the client comes back with the answers, and the
handler runs *again from its start*; a question that was answered then returns at once. So ask before anything is done
that may not be done twice, and give a question the same key in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from marshmallow import Schema

from .content import Content, Message, Role
from .errors import ErrorCode, ToolError

T = TypeVar("T")

TASKS: Mapping[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
"""The client capability that long-running tasks need."""


class Question(Generic[T]):
    """Something to ask; `T` is what the answer comes as."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person did with a form or a page. `content` is empty unless they accepted, and typed by the form's schema.

    `nonce` names the one call that asked, where its client holds the answer and could send it again; else it is None.
    """

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any]
    nonce: str | None = None

    @property
    def accepted(self) -> bool:
        return self.action == "accept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the client's model wrote."""

    role: Role
    content: tuple[Content, ...]
    model: str
    stop_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    uri: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Form(Question[Answer]):
    """A form for the user. `fields` is a flat marshmallow schema class, or a JSON Schema object of primitive properties.

    The answer to one that asks for `consent` counts only after this server has asked.
    """

    message: str
    fields: type[Schema] | Mapping[str, Any]
    consent: bool = False


@dataclass(frozen=True, slots=True)
class OpenURL(Question[Answer]):
    """A page for the user to visit, for what must not pass through the client: a sign-in, a payment, a secret."""

    message: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Question[Completion]):
    """A completion by the client's model; the user may see and change it first."""

    messages: tuple[Message, ...]
    max_tokens: int
    system: str | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    preferences: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ListRoots(Question[tuple[Root, ...]]):
    """The folders or addresses the client works in."""


class CannotAsk(ToolError):
    """This client cannot be asked that; `required` are the capabilities it would have to declare."""

    def __init__(self, required: Mapping[str, Any]) -> None:
        super().__init__(
            ErrorCode.VALIDATION_ERROR,
            f"This needs a client that supports {', '.join(_named(required))}",
            details={"requiredCapabilities": dict(required)},
        )
        self.required = dict(required)


def _named(required: Mapping[str, Any]) -> list[str]:
    return [inner for name, members in required.items() for inner in (members if name == "extensions" else [name])]


class InputRequired(BaseException):
    """Leaves a handler whose questions the client has yet to answer. No error, so `except Exception` does not hold it."""

    def __init__(self, questions: Mapping[str, Question[Any]]) -> None:
        super().__init__(", ".join(questions))
        self.questions = dict(questions)
