"""`x-mcp-header` in a tool's input schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gatelodge.mirrored import mirrored_parameters


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "x-mcp-header": "A b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {name: {"type": "string", "x-mcp-header": name} for name in ("a", "A")}},
        {"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
    ],
)
def test_annotations_that_clients_would_refuse(schema: Mapping[str, Any]) -> None:
    """A tool whose `x-mcp-header` breaks the rules is found at start-up."""
    with pytest.raises(ValueError, match="x-mcp-header"):
        mirrored_parameters(schema)


def test_nested_parameters() -> None:
    """A property of a property is reached by its path; what is null or missing has no value."""
    inner = {"type": "object", "properties": {"b": {"type": "integer", "x-mcp-header": "B"}}}
    (found,) = mirrored_parameters({"type": "object", "properties": {"a": inner}})
    assert (found.header, found.path) == ("Mcp-Param-B", ("a", "b"))
    assert [found.value(arguments) for arguments in ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": 1}, {})] == [
        1,
        None,
        None,
        None,
    ]
