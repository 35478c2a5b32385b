"""What every write does alike: preview or send, and say where the result is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from gatelodge import Call, ErrorCode, Result, ToolError

from ..api import JiraAPI
from ..client import Request

PROPERTY = "gatelodge"
"""The entity property that marks what a call with an idempotency key has made, so that it can be found again."""


def preview(api: JiraAPI, issue_key: str | None, *requests: Request, **more: Any) -> Result:
    """The answer to a `dry_run`."""
    would_send = [request.shown() for request in requests]
    return Result(structured={**_written(api, issue_key, dry_run=True), "would_send": would_send, **more})


def written(api: JiraAPI, issue_key: str, *, before: Any = None, after: Any = None, **more: Any) -> Result:
    """The answer after the write; `before` and `after` are for the audit."""
    return Result(structured={**_written(api, issue_key, dry_run=False), **more}, before=before, after=after)


def mark(call: Call) -> list[dict[str, Any]]:
    """Entity properties that name the call, for what is made under an idempotency key."""
    if call.idempotency_key is None:
        return []
    return [{"key": PROPERTY, "value": _mark(call)}]


def marked(properties: Iterable[Mapping[str, Any]], call: Call) -> bool:
    """Whether entity properties say that this call has made what has them."""
    return any(item.get("key") == PROPERTY and item.get("value") == _mark(call) for item in properties)


async def issue_is_marked(api: JiraAPI, issue_key: str, call: Call) -> bool:
    return bool(await api.property(issue_key, PROPERTY) == _mark(call))


def _mark(call: Call) -> dict[str, str]:
    return {"call": call_digest(call)}


def call_digest(call: Call) -> str:
    """The idempotency key in a form that tells nothing of it."""
    return hashlib.sha256(f"{call.principal.tenant}\x00{call.name}\x00{call.idempotency_key}".encode()).hexdigest()


def about_arguments(error: ToolError, arguments: Mapping[str, str]) -> ToolError:
    """The error with Jira's field ids replaced by the arguments they came from."""
    fields = error.details.get("fields")
    if error.code is not ErrorCode.VALIDATION_ERROR or not fields:
        return error
    named = {arguments.get(name, f"fields.{name}"): sentences for name, sentences in fields.items()}
    sentence = "; ".join(f"{name}: {sentences[0]}" for name, sentences in named.items())
    return ToolError(error.code, f"Jira refuses this. {sentence}", details={**error.details, "fields": named})


def _written(api: JiraAPI, issue_key: str | None, *, dry_run: bool) -> dict[str, Any]:
    return {
        "instance": api.instance.id,
        "dry_run": dry_run,
        "issue_key": issue_key,
        "url": None if issue_key is None else api.browse(issue_key),
    }
