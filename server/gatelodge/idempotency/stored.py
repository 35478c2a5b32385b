"""A result as it is kept for a replay, and back: what the client saw of it, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from ..content import Audio, BlobContents, Content, Embedded, Hints, Image, ResourceLink, Text, TextContents
from ..contract import Result

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Text, Image, Audio, Embedded, ResourceLink, TextContents, BlobContents)
}


def pack(result: Result) -> str:
    """JSON text."""
    body: dict[str, Any] = {"structured": result.structured}
    if result.content:
        body["content"] = [_pack_block(block) for block in result.content]
    if result.meta:
        body["meta"] = result.meta
    return msgspec.json.encode(body).decode()


def unpack(text: str) -> Result:
    """The result that was packed, marked as replayed."""
    body = msgspec.json.decode(text)
    content = tuple(_unpack_block(block) for block in body.get("content", ()))
    return Result(structured=body["structured"], content=content, meta=body.get("meta", {}), replayed=True)


def _pack_block(block: Content | TextContents | BlobContents) -> dict[str, Any]:
    wire: dict[str, Any] = {"kind": type(block).__name__, **msgspec.to_builtins(block)}
    if isinstance(block, Embedded):
        wire["resource"] = _pack_block(block.resource)
    return wire


def _unpack_block(wire: dict[str, Any]) -> Any:
    kind = KINDS[wire.pop("kind")]
    if kind is Embedded:
        return Embedded(_unpack_block(wire["resource"]), msgspec.convert(wire["hints"], Hints | None))
    return msgspec.convert(wire, kind)
