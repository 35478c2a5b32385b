"""JSON-RPC 2.0 messages: bytes to a message, and the faults of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_NOT_FOUND = -32002
"""Before 2026-07-28; from there on it is `INVALID_PARAMS`."""
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

MAX_DEPTH = 64
"""How deep a message may nest; deeper ones are refused before anything walks them."""

RequestId = str | int


class ProtocolError(Exception):
    """A fault of the protocol, answered as a JSON-RPC error. `status` is for doors that speak HTTP."""

    def __init__(
        self, code: int, message: str, *, data: Any = None, status: int = 400, id: RequestId | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status
        self.id = id


@dataclass(frozen=True, slots=True)
class Message:
    """One request, notification (`id` is None) or, with `method` None, a response of the client."""

    method: str | None
    params: Mapping[str, Any]
    id: RequestId | None = None
    result: Any = None
    error: Any = None

    @property
    def meta(self) -> Mapping[str, Any]:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}


def parse(body: bytes) -> Message | list[Message]:
    """A message, or a batch of them. Raises `ProtocolError` with what is wrong."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(PARSE_ERROR, f"The body is not valid JSON: {error}") from None
    if too_deep(value):
        raise ProtocolError(INVALID_REQUEST, f"The message nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        if not value:
            raise ProtocolError(INVALID_REQUEST, "A batch may not be empty")
        return [_message(item) for item in value]
    return _message(value)


def response(id: RequestId, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def error_response(error: ProtocolError, id: RequestId | None = None, *, null_id: bool = False) -> dict[str, Any]:
    """A JSON-RPC error. An unreadable id is left out, or null where the revision's clients expect the member."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    known = error.id if id is None else id
    message: dict[str, Any] = {"jsonrpc": "2.0"}
    if known is not None or null_id:
        message["id"] = known
    return message | {"error": body}


def notification(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise ProtocolError(INVALID_REQUEST, f"A message is a JSON object, not {_kind(value)}")
    id = value.get("id")
    if "id" in value and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise ProtocolError(INVALID_REQUEST, f"id: must be a string or an integer, not {_kind(id)}")
    if value.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'jsonrpc: must be "2.0"', id=id)
    method, params = value.get("method"), value.get("params", {})
    if method is None and ("result" in value or "error" in value) and id is not None:
        return Message(None, {}, id, value.get("result"), value.get("error"))
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method: must be a string", id=id)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, f"params: must be an object, not {_kind(params)}", id=id)
    return Message(method, params, id)


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def too_deep(value: Any) -> bool:
    """Whether a JSON value nests deeper than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _members(outer)]
        if not level:
            return False
    return any(isinstance(outer, dict | list) for outer in level)


def _members(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
