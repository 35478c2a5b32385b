"""Reading what a message carries: its parameters, its cursor, and what its `_meta` claims."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from .jsonrpc import INVALID_PARAMS, UNSUPPORTED_VERSION, Message, ProtocolError
from .revisions import REVISIONS, Revision

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel"

PAGE = 100


def string(message: Message, name: str) -> str:
    return checked_string(message.params.get(name), name)


def mapping(message: Message, name: str) -> Mapping[str, Any]:
    return checked_mapping(message.params.get(name, {}), name)


def checked_string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ProtocolError(INVALID_PARAMS, f"{name}: must be a string")
    return value


def checked_mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError(INVALID_PARAMS, f"{name}: must be an object")
    return value


def progress_token(meta: Mapping[str, Any]) -> str | int | None:
    token = meta.get("progressToken")
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None


def page(member: str, items: Sequence[Any], message: Message) -> dict[str, Any]:
    """One page of a list. The cursor is the offset, encoded so that nobody takes it for more than a token."""
    start = _offset(message, len(items))
    answer: dict[str, Any] = {member: list(items[start : start + PAGE])}
    if start + PAGE < len(items):
        answer["nextCursor"] = base64.urlsafe_b64encode(str(start + PAGE).encode()).decode()
    return answer


def stateless_revision(message: Message) -> Revision | None:
    """The revision a request claims in its `_meta`, or None where it makes no such claim.

    Raises `ProtocolError` for a version that is not served statelessly, and for a `_meta` that lacks its members.
    """
    claimed = message.meta.get(VERSION_KEY)
    if claimed is None:
        return None
    revision = REVISIONS.get(claimed) if isinstance(claimed, str) else None
    if revision is None or not revision.stateless:
        raise unsupported_version(claimed, message)
    if not isinstance(message.meta.get(CAPABILITIES_KEY), dict):
        raise ProtocolError(INVALID_PARAMS, f"_meta: {CAPABILITIES_KEY} must be an object", id=message.id)
    return revision


def unsupported_version(requested: object, message: Message) -> ProtocolError:
    data = {"supported": list(REVISIONS), "requested": str(requested)}
    return ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data, id=message.id)


def _offset(message: Message, length: int) -> int:
    cursor = message.params.get("cursor")
    if cursor is None:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(cursor))
    except (TypeError, ValueError, binascii.Error):
        start = -1
    if not 0 < start < length:
        raise ProtocolError(INVALID_PARAMS, "cursor: not one this server gave", id=message.id)
    return start
