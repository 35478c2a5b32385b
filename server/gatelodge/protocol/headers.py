"""Headers that repeat the body, and must say the same. Source: MCP 2026-07-28, "Streamable HTTP", "Request Metadata"."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..mirrored import Mirrored
from .jsonrpc import HEADER_MISMATCH, Message, ProtocolError
from .parameters import VERSION_KEY

VERSION_HEADER = "MCP-Protocol-Version"
NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Methods whose `Mcp-Name` header repeats a parameter, and which one."""
SAFE_INTEGER = 2**53

_VISIBLE = re.compile(r"[\x20-\x7e\t]*")
_INTEGER = re.compile(r"-?\d+(\.0+)?")


def check_version(headers: Mapping[str, str], message: Message) -> None:
    """Raises `HeaderMismatch` where header and body claim different versions."""
    _match(VERSION_HEADER, headers.get(VERSION_HEADER), message.meta.get(VERSION_KEY))


def check_call(headers: Mapping[str, str], message: Message, mirrored: Sequence[Mirrored] = ()) -> None:
    """Refuse a request whose headers say something else than its body. Raises `HeaderMismatch`."""
    _match("Mcp-Method", headers.get("Mcp-Method"), message.method)
    parameter = NAMED_BY.get(message.method or "")
    if parameter is not None:
        _match("Mcp-Name", _decoded("Mcp-Name", headers.get("Mcp-Name")), message.params.get(parameter))
    arguments = message.params.get("arguments")
    for item in mirrored:
        value = item.value(arguments) if isinstance(arguments, dict) else None
        _match_parameter(item.header, _decoded(item.header, headers.get(item.header)), value)


def _decoded(name: str, value: str | None) -> str | None:
    """A repeated value, decoded where it stands in the base64 sentinel form. Raises `HeaderMismatch`."""
    if value is None:
        return None
    if not _VISIBLE.fullmatch(value):
        raise _mismatch(f"{name}: it has characters that no header may have")
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _mismatch(f"{name}: it is not valid base64 of UTF-8") from None


def _match(name: str, header: str | None, body: object) -> None:
    if header is None:
        raise _mismatch(f"{name}: this header is required")
    if header != body:
        raise _mismatch(f"{name}: the header says {header!r}, the body {body!r}")


def _match_parameter(name: str, header: str | None, value: Any) -> None:
    if value is None:
        if header is not None:
            raise _mismatch(f"{name}: the body has no such argument")
        return
    if isinstance(value, bool):
        _match(name, header, "true" if value else "false")
    elif isinstance(value, int | float):
        _match_number(name, header, value)
    else:
        _match(name, header, value)


def _match_number(name: str, header: str | None, value: float) -> None:
    """Numbers are compared as numbers: `42.0` is 42."""
    if header is not None and _INTEGER.fullmatch(header) and abs(value) < SAFE_INTEGER and float(header) == value:
        return
    _match(name, header, str(value))


def _mismatch(message: str) -> ProtocolError:
    return ProtocolError(HEADER_MISMATCH, message)
