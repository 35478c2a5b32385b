"""Questions as the requests a client knows, and its results as answers. Source: MCP "Elicitation", "Sampling", "Roots"."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from marshmallow import Schema

from ..content import Audio, Content, Image, Text
from ..errors import ErrorCode, ToolError
from ..questions import Answer, Completion, Form, ListRoots, OpenURL, Question, Root, Sample
from ..schema import json_schema, loader
from . import render
from .jsonrpc import Message, notification
from .revisions import Revision

ANSWER_TIMEOUT = 300.0
"""Seconds a person has to answer."""

Wire = dict[str, Any]
Send = Callable[[Mapping[str, Any]], Any]


def required(kind: type[Question[Any]]) -> Wire:
    """The client capabilities that a kind of question needs."""
    needs: dict[type[Any], Wire] = {
        Form: {"elicitation": {"form": {}}},
        OpenURL: {"elicitation": {"url": {}}},
        Sample: {"sampling": {}},
        ListRoots: {"roots": {}},
    }
    return needs[kind]


def supports(kind: type[Question[Any]], capabilities: Mapping[str, Any], revision: Revision) -> bool:
    (name,) = required(kind)
    declared = capabilities.get(name)
    if not isinstance(declared, dict):
        return False
    if kind is Form:
        return revision.elicitation and ("form" in declared or "url" not in declared)
    return kind is not OpenURL or (revision.urls and "url" in declared)


def request(question: Question[Any], revision: Revision) -> Wire:
    """`method` and `params` of the request that asks it."""
    match question:
        case Form(message=message, fields=fields):
            mode = {"mode": "form"} if revision.urls else {}
            params: Wire = mode | {"message": message, "requestedSchema": _form_schema(fields)}
            return {"method": "elicitation/create", "params": params}
        case OpenURL(message, url):
            params = {"mode": "url", "message": message, "url": url}
            if not revision.stateless:
                params["elicitationId"] = secrets.token_urlsafe(12)
            return {"method": "elicitation/create", "params": params}
        case Sample():
            return {"method": "sampling/createMessage", "params": _sampling(question, revision)}
        case ListRoots():
            return {"method": "roots/list", "params": {}}
    raise TypeError(f"not a question: {question!r}")


def answer(question: Question[Any], raw: Any) -> Any:
    """The answer out of the client's result. Raises `validation_error` for what does not fit the question."""
    if not isinstance(raw, dict):
        raise _unfit("is not an object")
    match question:
        case Form(fields=fields):
            return _elicited(raw, fields)
        case OpenURL():
            return _elicited(raw, {})
        case Sample():
            return _completion(raw)
    roots = raw.get("roots")
    if not isinstance(roots, list) or not all(isinstance(r, dict) and isinstance(r.get("uri"), str) for r in roots):
        raise _unfit("has no list of roots")
    return tuple(Root(uri=root["uri"], name=root.get("name")) for root in roots)


class ServerRequests:
    """The requests a session has sent to its client, and who waits for the results. `prefix` begins each id."""

    def __init__(self, prefix: str = "ask-") -> None:
        self._prefix = prefix
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)

    async def ask(self, questions: Mapping[str, Question[Any]], revision: Revision, send: Send) -> dict[str, Any]:
        """Send them all, wait for all. Raises `ToolError` where the client fails, answers nonsense or takes too long."""
        ids = {key: f"{self._prefix}{next(self._numbers)}" for key in questions}
        loop = asyncio.get_running_loop()
        self._waiting |= {id: loop.create_future() for id in ids.values()}
        pending = {key: self._waiting[id] for key, id in ids.items()}
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                for key, question in questions.items():
                    await send({"jsonrpc": "2.0", "id": ids[key], **request(question, revision)})
                return {key: answer(questions[key], _result(await pending[key])) for key in questions}
        except TimeoutError:
            raise ToolError(ErrorCode.TIMEOUT, "Nobody answered the question in time") from None
        finally:
            for key, id in ids.items():
                del self._waiting[id]
                if not pending[key].done():
                    await send(notification("notifications/cancelled", {"requestId": id, "reason": "No longer needed"}))

    def resolve(self, response: Message) -> None:
        """Take the client's response; one that nobody waits for is dropped."""
        waiting = self._waiting.get(str(response.id))
        if waiting is not None and not waiting.done():
            waiting.set_result(response)


def _result(response: Message) -> Any:
    if response.error is None:
        return response.result
    said = response.error.get("message") if isinstance(response.error, dict) else None
    raise ToolError(ErrorCode.UPSTREAM_4XX, f"The client did not answer: {said or 'it gave no reason'}")


def _form_schema(fields: type[Schema] | Mapping[str, Any]) -> Wire:
    derived = _derived(fields) if isinstance(fields, type) else fields
    return {name: derived[name] for name in ("type", "properties", "required") if name in derived}


def _form_loader(fields: type[Schema] | Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return _loader(fields) if isinstance(fields, type) else loader({"type": "object", **_without_names(fields)})


def _without_names(fields: Mapping[str, Any]) -> Wire:
    """`enumNames` is a label of older clients, no keyword of JSON Schema."""
    properties = fields.get("properties", {})
    bare = {
        name: {key: value for key, value in inner.items() if key != "enumNames"} for name, inner in properties.items()
    }
    return {**fields, "properties": bare}


@cache
def _derived(fields: type[Schema]) -> Wire:
    return json_schema(fields)


@cache
def _loader(fields: type[Schema]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return loader(fields)


def _elicited(raw: Wire, fields: type[Schema] | Mapping[str, Any]) -> Answer:
    action, content = raw.get("action"), raw.get("content", {})
    if action not in ("accept", "decline", "cancel"):
        raise _unfit("has no action")
    if action != "accept":
        return Answer(action=action, content={})
    if not isinstance(content, dict):
        raise _unfit("has content that is no object")
    asked = _form_schema(fields).get("properties", {})
    return Answer(
        action=action, content=_form_loader(fields)({name: content[name] for name in asked if name in content})
    )


def _sampling(question: Sample, revision: Revision) -> Wire:
    optional = {
        "systemPrompt": question.system,
        "temperature": question.temperature,
        "stopSequences": list(question.stop) or None,
        "modelPreferences": question.preferences,
    }
    messages = [render.message(item, revision) for item in question.messages]
    present = {name: value for name, value in optional.items() if value is not None}
    return {"messages": messages, "maxTokens": question.max_tokens, **present}


def _completion(raw: Wire) -> Completion:
    content, role = raw.get("content"), raw.get("role")
    blocks = content if isinstance(content, list) else [content]
    if role not in ("user", "assistant") or not isinstance(raw.get("model"), str):
        raise _unfit("is no message of a model")
    stop = raw.get("stopReason")
    return Completion(
        role=role,
        content=tuple(_block(item) for item in blocks),
        model=raw["model"],
        stop_reason=stop if isinstance(stop, str) else None,
    )


def _block(raw: Any) -> Content:
    try:
        if raw["type"] == "text" and isinstance(raw["text"], str):
            return Text(raw["text"])
        if raw["type"] in ("image", "audio"):
            kind = Image if raw["type"] == "image" else Audio
            return kind(base64.b64decode(raw["data"], validate=True), str(raw["mimeType"]))
    except (TypeError, KeyError, binascii.Error, ValueError):
        pass
    raise _unfit("holds content of a kind that is not known here")


def _unfit(what: str) -> ToolError:
    return ToolError(ErrorCode.VALIDATION_ERROR, f"The client's answer {what}")
