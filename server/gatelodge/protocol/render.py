"""Contract objects as MCP's wire forms. A structured result is encoded once; its text form reuses the bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from ..content import (
    Audio,
    BlobContents,
    Content,
    Embedded,
    Hints,
    Icon,
    Image,
    Message,
    ResourceLink,
    Text,
    TextContents,
)
from ..contract import Prompt, Resource, Result
from ..dispatch import CompiledTool
from ..errors import describe
from .revisions import Revision

Wire = dict[str, Any]


def tool(compiled: CompiledTool, name: str, revision: Revision) -> Wire:
    """A tool's definition, with the members its revision knows."""
    item = compiled.tool
    wire: Wire = {"name": name, "description": item.description, "inputSchema": compiled.input_schema}
    if revision.annotations:
        hints = item.annotations
        wire["annotations"] = {
            "title": item.title,
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        }
    if revision.titles:
        wire["title"] = item.title
    if compiled.output_schema is not None and revision.structures(compiled.output_schema):
        wire["outputSchema"] = compiled.output_schema
    return wire | _icons(item.icons, revision) | _meta(item.meta)


def resource(item: Resource, revision: Revision) -> Wire:
    """A resource, or a template where its URI has variables."""
    template = "{" in item.uri
    wire: Wire = {"uriTemplate" if template else "uri": item.uri, "name": item.name}
    if revision.titles:
        wire["title"] = item.title
    wire |= {"description": item.description, "mimeType": item.mime_type}
    if item.size is not None and not template:
        wire["size"] = item.size
    return wire | _hints(item.hints) | _icons(item.icons, revision) | _meta(item.meta)


def prompt(item: Prompt, revision: Revision) -> Wire:
    arguments = [{"name": a.name, "description": a.description, "required": a.required} for a in item.arguments]
    wire: Wire = {"name": item.name, "description": item.description, "arguments": arguments}
    if revision.titles:
        wire["title"] = item.title
    return wire | _icons(item.icons, revision) | _meta(item.meta)


def tool_result(result: Result, request_id: str, revision: Revision) -> Wire:
    """`CallToolResult`: a failure is a result the model can read, with the error as JSON text."""
    wire: Wire = {}
    if result.error is not None:
        text = msgspec.json.encode({"error": describe(result.error, request_id)}).decode()
        wire |= {"content": [{"type": "text", "text": text}], "isError": True}
    else:
        wire |= _tool_success(result, revision)
    meta = dict(result.meta)
    if result.replayed:
        meta["gatelodge/replayed"] = True
    return wire | _meta(meta)


def resource_result(result: Result) -> Wire:
    return {"contents": [contents(item) for item in result.content]} | _meta(result.meta)


def prompt_result(result: Result, item: Prompt, revision: Revision) -> Wire:
    messages = [message(m, revision) for m in result.content if isinstance(m, Message)]
    return {"description": item.description, "messages": messages} | _meta(result.meta)


def completion_result(result: Result) -> Wire:
    """`CompleteResult`: 100 values at most, and whether there were more."""
    values = [str(value) for value in result.structured["values"]]
    return {"completion": {"values": values[:100], "total": len(values), "hasMore": len(values) > 100}}


def message(item: Message, revision: Revision) -> Wire:
    return {"role": item.role, "content": block(item.content, revision)}


def block(content: Content, revision: Revision) -> Wire:
    """A `ContentBlock`; what its revision does not know yet becomes text."""
    match content:
        case Text(text):
            wire: Wire = {"type": "text", "text": text}
        case Image(data, mime_type):
            wire = {"type": "image", "data": _base64(data), "mimeType": mime_type}
        case Audio(data, mime_type):
            if not revision.audio:
                return {"type": "text", "text": f"[{mime_type}, {len(data)} bytes; this revision carries no audio]"}
            wire = {"type": "audio", "data": _base64(data), "mimeType": mime_type}
        case Embedded(inner):
            wire = {"type": "resource", "resource": contents(inner)}
        case ResourceLink():
            if not revision.links:
                return {"type": "text", "text": f"{content.title or content.name}: {content.uri}"}
            wire = _link(content, revision)
    return wire | _hints(content.hints)


def contents(item: TextContents | BlobContents) -> Wire:
    """`TextResourceContents` or `BlobResourceContents`."""
    body = {"text": item.text} if isinstance(item, TextContents) else {"blob": _base64(item.blob)}
    return {"uri": item.uri, "mimeType": item.mime_type, **body} | _meta(item.meta)


def _link(content: ResourceLink, revision: Revision) -> Wire:
    optional = {
        "title": content.title,
        "description": content.description,
        "mimeType": content.mime_type,
        "size": content.size,
    }
    wire = {"type": "resource_link", "uri": content.uri, "name": content.name}
    return wire | _present(optional) | _icons(content.icons, revision)


def _tool_success(result: Result, revision: Revision) -> Wire:
    if result.structured is None:
        return {"content": [block(item, revision) for item in result.content]}
    encoded = msgspec.json.encode(result.structured)
    blocks = [block(item, revision) for item in result.content] or [{"type": "text", "text": encoded.decode()}]
    if not revision.structured or (encoded[:1] != b"{" and not revision.any_structure):
        return {"content": blocks}
    return {"content": blocks, "structuredContent": msgspec.Raw(encoded)}


def _hints(hints: Hints | None) -> Wire:
    if hints is None:
        return {}
    when = hints.last_modified
    members = {
        "audience": list(hints.audience) or None,
        "priority": hints.priority,
        "lastModified": None if when is None else when.isoformat(),
    }
    return {"annotations": _present(members)}


def _icons(icons: Sequence[Icon], revision: Revision) -> Wire:
    if not icons or not revision.icons:
        return {}
    return {"icons": [_icon(icon) for icon in icons]}


def _icon(icon: Icon) -> Wire:
    optional = {"mimeType": icon.mime_type, "sizes": list(icon.sizes) or None, "theme": icon.theme}
    return {"src": icon.src} | _present(optional)


def _meta(meta: Any) -> Wire:
    return {"_meta": dict(meta)} if meta else {}


def _present(members: Wire) -> Wire:
    return {name: value for name, value in members.items() if value is not None}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
