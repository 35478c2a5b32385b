"""Resources: text, binary, one that changes, and a template with completion."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatelodge import BlobContents, Call, Resource, Result, TextContents

from .samples import RED_PIXEL
from .tools import ICON


async def text(call: Call) -> Result:
    return Result(content=(TextContents(call.name, "This is the content of the static text resource."),))


async def binary(call: Call) -> Result:
    return Result(content=(BlobContents(call.name, RED_PIXEL, "image/png"),))


async def watched(call: Call) -> Result:
    return Result(content=(TextContents(call.name, "This is watched."),))


async def template(call: Call) -> Result:
    id = call.arguments["id"]
    body = msgspec.json.encode({"id": id, "templateTest": True, "data": f"Data for ID: {id}"}).decode()
    return Result(content=(TextContents(call.name, body, "application/json"),))


async def complete_id(call: Call) -> Sequence[str]:
    return [number for number in ("1", "12", "123", "2") if number.startswith(call.arguments["id"])]


RESOURCES = (
    Resource(
        uri="test://static-text",
        name="static-text",
        title="Static text",
        description="A text that never changes.",
        handler=text,
        icons=(ICON,),
    ),
    Resource(
        uri="test://static-binary",
        name="static-binary",
        title="Static binary",
        description="A picture of one pixel.",
        handler=binary,
        mime_type="image/png",
        size=len(RED_PIXEL),
    ),
    Resource(
        uri="test://watched-resource",
        name="watched-resource",
        title="Watched",
        description="A text to subscribe to.",
        handler=watched,
    ),
    Resource(
        uri="test://template/{id}/data",
        name="template",
        title="Data by id",
        description="Data of one id.",
        handler=template,
        mime_type="application/json",
        complete={"id": complete_id},
    ),
)
