"""The JSON Schemas of the five revisions, and the check that every message of these tests passes through."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMAS = Path(__file__).with_name("schemas")
STATELESS = "2026-07-28"
SESSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

RESULTS = {
    "initialize": "InitializeResult",
    "server/discover": "DiscoverResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "completion/complete": "CompleteResult",
    "subscriptions/listen": "SubscriptionsListenResult",
    "elicitation/create": "ElicitResult",
    "sampling/createMessage": "CreateMessageResult",
    "roots/list": "ListRootsResult",
}
EXTENSION = ("tasks/", "notifications/tasks")
"""What an extension brings is not in the schema of the protocol."""


def check_request(revision: str, message: dict[str, Any], *, by_server: bool = False) -> None:
    """A request or notification. Raises `jsonschema_rs.ValidationError`."""
    if message["method"].startswith(EXTENSION):
        return
    side = "Server" if by_server else "Client"
    _validator(revision, f"{side}{'Request' if 'id' in message else 'Notification'}").validate(message)


def check_response(revision: str, method: str, message: dict[str, Any]) -> None:
    """A response to a request of that method.

    An error without a request may have the id null, as JSON-RPC says in section 5; the schemas have no such case.
    """
    if "error" in message:
        nobodys = "id" in message and message["id"] is None
        _validator(revision, _envelope(revision, "error")).validate({**message, "id": 0} if nobodys else message)
        return
    _validator(revision, _envelope(revision, "result")).validate(message)
    result = message["result"]
    name = RESULTS.get(method, "Result" if revision == STATELESS else "EmptyResult")
    if result.get("resultType") == "input_required":
        name = "InputRequiredResult"
    elif result.get("resultType") == "task":
        name = "Result"
    _validator(revision, name).validate(result)


def _envelope(revision: str, member: str) -> str:
    """The name of a response with that member; 2025-11-25 renamed both."""
    new, old = {
        "error": ("JSONRPCErrorResponse", "JSONRPCError"),
        "result": ("JSONRPCResultResponse", "JSONRPCResponse"),
    }[member]
    return new if new in _definitions(revision) else old


@cache
def _schema(revision: str) -> dict[str, Any]:
    return dict(json.loads((SCHEMAS / f"{revision}.json").read_text()))


def _definitions(revision: str) -> dict[str, Any]:
    schema = _schema(revision)
    return dict(schema.get("$defs") or schema["definitions"])


@cache
def _validator(revision: str, name: str) -> Any:
    schema = _schema(revision)
    place = "$defs" if "$defs" in schema else "definitions"
    return jsonschema_rs.validator_for({**schema, "$ref": f"#/{place}/{name}"})
