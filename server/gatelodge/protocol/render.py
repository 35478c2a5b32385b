"""Contract objects as MCP's wire forms. A structured result is encoded once; its text form reuses the bytes."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from ..contract import (
    Audio,
    BlobContents,
    Content,
    Embedded,
    Image,
    Message,
    Prompt,
    Resource,
    ResourceLink,
    Result,
    Text,
    TextContents,
)
from ..dispatch import CompiledTool
from ..errors import describe
from .revisions import Revision


def tool(compiled: CompiledTool, name: str, revision: Revision) -> dict[str, Any]:
    """A tool's definition, with the members its revision knows."""
    item = compiled.tool
    wire: dict[str, Any] = {"name": name, "description": item.description, "inputSchema": compiled.input_schema}
    if revision.annotations:
        hints = item.annotations
        wire["annotations"] = {
            "title": item.title,
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        }
    if revision.structured:
        wire["title"] = item.title
        if compiled.output_schema is not None:
            wire["outputSchema"] = compiled.output_schema
    if item.meta:
        wire["_meta"] = item.meta
    return wire


def resource(item: Resource) -> dict[str, Any]:
    """A resource, or a template where its URI has variables."""
    key = "uriTemplate" if "{" in item.uri else "uri"
    return {
        key: item.uri,
        "name": item.name,
        "title": item.title,
        "description": item.description,
        "mimeType": item.mime_type,
    }


def prompt(item: Prompt) -> dict[str, Any]:
    arguments = [{"name": a.name, "description": a.description, "required": a.required} for a in item.arguments]
    return {"name": item.name, "title": item.title, "description": item.description, "arguments": arguments}


def tool_result(result: Result, request_id: str, revision: Revision) -> dict[str, Any]:
    """`CallToolResult`: a failure is a result the model can read, with the error as JSON text."""
    wire: dict[str, Any] = {}
    if result.error is not None:
        text = msgspec.json.encode({"error": describe(result.error, request_id)}).decode()
        wire |= {"content": [{"type": "text", "text": text}], "isError": True}
    else:
        wire |= _tool_success(result, revision)
    meta = dict(result.meta)
    if result.replayed:
        meta["gatelodge/replayed"] = True
    return wire | {"_meta": meta} if meta else wire


def resource_result(result: Result) -> dict[str, Any]:
    return {"contents": [contents(item) for item in result.content]}


def prompt_result(result: Result, item: Prompt) -> dict[str, Any]:
    messages = [{"role": m.role, "content": block(m.content)} for m in result.content if isinstance(m, Message)]
    return {"description": item.description, "messages": messages}


def block(content: Content) -> dict[str, Any]:
    """A `ContentBlock`."""
    match content:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(data, mime_type):
            return {"type": "image", "data": _base64(data), "mimeType": mime_type}
        case Audio(data, mime_type):
            return {"type": "audio", "data": _base64(data), "mimeType": mime_type}
        case Embedded(inner):
            return {"type": "resource", "resource": contents(inner)}
        case ResourceLink():
            link = {"title": content.title, "description": content.description, "mimeType": content.mime_type}
            present = {key: value for key, value in link.items() if value is not None}
            return {"type": "resource_link", "uri": content.uri, "name": content.name, **present}


def contents(item: TextContents | BlobContents) -> dict[str, Any]:
    """`TextResourceContents` or `BlobResourceContents`."""
    body = {"text": item.text} if isinstance(item, TextContents) else {"blob": _base64(item.blob)}
    return {"uri": item.uri, "mimeType": item.mime_type, **body}


def _tool_success(result: Result, revision: Revision) -> dict[str, Any]:
    if result.structured is None:
        return {"content": [block(item) for item in result.content]}
    encoded = msgspec.json.encode(result.structured)
    blocks = [block(item) for item in result.content] or [{"type": "text", "text": encoded.decode()}]
    if not revision.structured:
        return {"content": blocks}
    return {"content": blocks, "structuredContent": msgspec.Raw(encoded)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
