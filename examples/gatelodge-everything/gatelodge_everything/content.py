"""Tools that answer at once: each kind of content, errors, log lines, progress, mirrored headers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, fields

from gatelodge import (
    Audio,
    Call,
    Embedded,
    ErrorCode,
    Hints,
    Image,
    ResourceLink,
    Result,
    Text,
    TextContents,
    ToolError,
)

from .samples import RED_PIXEL, SILENCE
from .tools import tool

MOMENT = 0.05
"""Seconds between two steps, so that a client sees them apart."""


class Region(Schema):
    region = fields.String(required=True, metadata={"description": "Where.", "x-mcp-header": "Region"})
    priority = fields.Integer(strict=True, metadata={"description": "How soon.", "x-mcp-header": "Priority"})
    verbose = fields.Boolean(metadata={"x-mcp-header": "Verbose"})


class Name(Schema):
    name = fields.String(required=True)


FULL_JSON_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        },
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""Written by hand: what marshmallow has no words for."""


async def simple_text(call: Call) -> Result:
    return Result(content=(Text("This is a simple text response for testing."),))


async def image(call: Call) -> Result:
    return Result(content=(Image(RED_PIXEL, "image/png"),))


async def audio(call: Call) -> Result:
    return Result(content=(Audio(SILENCE, "audio/wav"),))


async def embedded(call: Call) -> Result:
    contents = TextContents("test://embedded-resource", "This is an embedded resource content.")
    return Result(content=(Embedded(contents),))


async def mixed(call: Call) -> Result:
    contents = TextContents("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return Result(
        content=(Text("Multiple content types test:"), Image(RED_PIXEL, "image/png"), Embedded(contents)),
    )


async def link(call: Call) -> Result:
    hints = Hints(audience=("user",), priority=0.5, last_modified=datetime(2026, 7, 28, tzinfo=UTC))
    where = ResourceLink("test://static-text", "static-text", "Static text", mime_type="text/plain", hints=hints)
    return Result(content=(where,))


async def numbers(call: Call) -> Result:
    return Result(structured=[1, 2, 3])


async def greet(call: Call) -> Result:
    return Result(content=(Text(f"Hello, {call.arguments['name']}!"),))


async def fail(call: Call) -> Result:
    raise ToolError(ErrorCode.UPSTREAM_5XX, "This tool intentionally returns an error for testing")


async def log(call: Call) -> Result:
    await call.log("info", "Tool execution started")
    await asyncio.sleep(MOMENT)
    await call.log("info", "Tool processing data")
    await asyncio.sleep(MOMENT)
    await call.log("info", "Tool execution completed")
    return Result(content=(Text("Tool with logging executed successfully"),))


async def progress(call: Call) -> Result:
    for step in (0, 50, 100):
        await call.progress(step, 100, f"{step} of 100")
        await asyncio.sleep(MOMENT)
    return Result(content=(Text("Tool with progress executed successfully"),))


async def reconnect(call: Call) -> Result:
    """The result waits until the client is back."""
    await call.hang_up(retry=0.1)
    await asyncio.sleep(0.3)
    return Result(content=(Text("Reconnection test completed successfully"),))


async def mirror(call: Call) -> Result:
    return Result(content=(Text(f"Region {call.arguments['region']}"),))


async def accept(call: Call) -> Result:
    return Result(content=(Text(f"Accepted {', '.join(sorted(call.arguments))}"),))


TOOLS = (
    tool("test_simple_text", "Answers a line of text.", simple_text),
    tool("test_image_content", "Answers a picture.", image),
    tool("test_audio_content", "Answers a sound.", audio),
    tool("test_embedded_resource", "Answers a resource, embedded.", embedded),
    tool("test_multiple_content_types", "Answers text, a picture and a resource.", mixed),
    tool("test_resource_link", "Answers a link to a resource.", link),
    tool("test_structured_list", "Answers a list.", numbers, output={"type": "array", "items": {"type": "integer"}}),
    tool("test_error_handling", "Always fails.", fail),
    tool("test_tool_with_logging", "Writes three log lines.", log),
    tool("test_logging_tool", "Writes three log lines.", log),
    tool("test_tool_with_progress", "Reports progress three times.", progress),
    tool("test_reconnection", "Lets the connection go in the middle of the call.", reconnect),
    tool("test_custom_headers", "Has arguments that clients repeat in headers.", mirror, Region),
    tool("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", accept, FULL_JSON_SCHEMA),
    tool("greet", "Greets by name.", greet, Name),
)
