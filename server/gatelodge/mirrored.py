"""`x-mcp-header`: parameters that a client mirrors into `Mcp-Param-*` headers. Source: MCP 2026-07-28, "Streamable HTTP"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KEYWORD = "x-mcp-header"
PREFIX = "Mcp-Param-"
PRIMITIVE = ("string", "integer", "boolean")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Mirrored:
    """One header and the path of the argument it repeats."""

    header: str
    path: tuple[str, ...]

    def value(self, arguments: Mapping[str, Any]) -> Any:
        """The argument, or None where it is null or not there."""
        value: Any = arguments
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def mirrored_parameters(schema: Mapping[str, Any]) -> tuple[Mirrored, ...]:
    """What an input schema wants mirrored. Raises `ValueError` for an annotation that clients would have to refuse."""
    found = tuple(_reachable(schema, ()))
    names = [item.header.lower() for item in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{KEYWORD}: two parameters have the same header")
    if len(found) != _count(schema):
        raise ValueError(f"{KEYWORD}: only properties that are reached through properties alone may have it")
    return found


def _reachable(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Mirrored]:
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if not isinstance(inner, Mapping):
            continue
        if KEYWORD in inner:
            yield Mirrored(PREFIX + _checked(name, inner), (*path, name))
        yield from _reachable(inner, (*path, name))


def _checked(name: str, inner: Mapping[str, Any]) -> str:
    header = inner[KEYWORD]
    if not isinstance(header, str) or not _TOKEN.fullmatch(header):
        raise ValueError(f"{KEYWORD} of {name}: not an HTTP field name")
    if inner.get("type") not in PRIMITIVE:
        raise ValueError(f"{KEYWORD} of {name}: only a string, an integer or a boolean can be mirrored")
    return header


def _count(schema: Any) -> int:
    """How often the keyword stands anywhere in the schema."""
    if isinstance(schema, Mapping):
        own = isinstance(schema.get(KEYWORD), str)
        return own + sum(_count(inner) for inner in schema.values())
    return sum(_count(inner) for inner in schema) if isinstance(schema, list | tuple) else 0
