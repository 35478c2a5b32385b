"""Tools that write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, validate

from gatelodge import OVERWRITE, WRITE, Call, ErrorCode, Form, Result, Tool, ToolError

from .notebook import Notebook
from .settings import NotesSettings


class Write(Schema):
    text = fields.String(required=True, validate=validate.Length(min=1, max=4000))
    topic = fields.String(validate=validate.Length(min=1, max=60), metadata={"description": "Such as releases."})
    dry_run = fields.Boolean(load_default=False, metadata={"description": "Only say what would be written."})
    idempotency_key = fields.String(
        metadata={"description": "Any unique text. A retry with the same key and arguments writes only once."}
    )


class Written(Schema):
    id = fields.Integer(required=True, allow_none=True, metadata={"description": "null for a dry_run."})
    topic = fields.String(required=True)


WRITE_DESCRIPTION = """Write a note for your team. Use it when something was decided that others will ask about.
Example: {"topic": "releases", "text": "No releases on Fridays.", "idempotency_key": "n-1"}.
Give an idempotency_key so that a retry does not write it twice; dry_run shows what would be written."""


class Delete(Schema):
    topic = fields.String(required=True)


class Deleted(Schema):
    deleted = fields.Integer(required=True)


class Sure(Schema):
    sure = fields.Boolean(required=True, metadata={"title": "Delete them"})


@dataclass(frozen=True, slots=True)
class Writing:
    """The writing tools over one notebook."""

    notebook: Notebook
    settings: NotesSettings

    def tools(self) -> tuple[Tool, Tool]:
        write = Tool(
            name="notes.write",
            title="Write a note",
            description=WRITE_DESCRIPTION,
            input=Write,
            output=Written,
            handler=self.write,
            annotations=WRITE,
            reconcile=self.find_written,
        )
        delete = Tool(
            name="notes.delete_topic",
            title="Delete a topic",
            description='Delete all notes of a topic, after asking the user. Example: {"topic": "old"}.',
            input=Delete,
            output=Deleted,
            handler=self.delete_topic,
            annotations=OVERWRITE,
        )
        return write, delete

    async def write(self, call: Call) -> Result:
        tenant, given = call.principal.tenant, call.arguments
        topic = given.get("topic", self.settings.topic)
        if await self.notebook.count(tenant) >= self.settings.most:
            raise ToolError(
                ErrorCode.CONFLICT, f"There are {self.settings.most} notes already; ask the user which topic may go."
            )
        if given["dry_run"]:
            return Result(structured={"id": None, "topic": topic})
        author, digest = call.principal.user, call_digest(call)
        made = await self.notebook.add(tenant, topic=topic, text=given["text"], author=author, written_by=digest)
        return Result(structured={"id": made, "topic": topic}, after={"text": given["text"], "topic": topic})

    async def find_written(self, call: Call) -> Result | None:
        """Whether an earlier call with this key has written its note, when its server died before it could say."""
        digest = call_digest(call)
        made = None if digest is None else await self.notebook.written_by(call.principal.tenant, digest)
        if made is None:
            return None
        return Result(structured={"id": made, "topic": call.arguments.get("topic", self.settings.topic)})

    async def delete_topic(self, call: Call) -> Result:
        tenant, topic = call.principal.tenant, call.arguments["topic"]
        count = await self.notebook.count(tenant, topic)
        if count == 0:
            raise not_found(topic)
        answer = await call.ask("sure", Form(f"Delete all {count} notes about {topic}?", Sure))
        if not answer.content.get("sure"):
            raise ToolError(ErrorCode.FORBIDDEN, "The user wants to keep them.")
        texts = await self.notebook.remove(tenant, topic)
        return Result(structured={"deleted": len(texts)}, before={"texts": texts})


def call_digest(call: Call) -> str | None:
    """What names the call in the row it writes, without telling its key."""
    if call.idempotency_key is None:
        return None
    text = f"{call.principal.tenant} {call.name} {call.idempotency_key}"
    return hashlib.sha256(text.encode()).hexdigest()


def not_found(topic: str) -> ToolError:
    details: dict[str, Any] = {"fields": {"topic": ["Unknown topic."]}}
    return ToolError(
        ErrorCode.NOT_FOUND, f"There are no notes about {topic!r}; notes.find shows topics.", details=details
    )
