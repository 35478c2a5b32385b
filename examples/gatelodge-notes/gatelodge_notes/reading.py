"""Tools that read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, fields, validate

from gatelodge import READ, Call, Tool

from .notebook import Notebook


class Find(Schema):
    text = fields.String(load_default="", metadata={"description": "A part of the note, in any case."})
    topic = fields.String(metadata={"description": "Only notes of this topic."})
    limit = fields.Integer(strict=True, load_default=20, validate=validate.Range(min=1, max=100))


class Note(Schema):
    id = fields.Integer(required=True)
    topic = fields.String(required=True)
    text = fields.String(required=True)
    author = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)


class Found(Schema):
    notes = fields.List(fields.Nested(Note), required=True, metadata={"description": "Newest first."})


FIND = """Find notes of your team. Use it before you write a note, and to answer what was decided about something.
Example: {"topic": "releases", "text": "friday"}.
Answers the newest notes that fit; none is no error."""


def find_tool(notebook: Notebook) -> Tool:
    return Tool(
        name="notes.find",
        title="Find notes",
        description=FIND,
        input=Find,
        output=Found,
        handler=partial(find, notebook),
        annotations=READ,
    )


async def find(notebook: Notebook, call: Call) -> Mapping[str, Any]:
    given = call.arguments
    tenant = call.principal.tenant
    notes = await notebook.find(tenant, topic=given.get("topic"), text=given["text"], limit=given["limit"])
    return {"notes": notes}


class CountWords(Schema):
    """No arguments."""


class Words(Schema):
    notes = fields.Integer(required=True)
    words = fields.Integer(required=True)


def count_words_tool(notebook: Notebook) -> Tool:
    return Tool(
        name="notes.count_words",
        title="Count words",
        description="Count the words of all notes. It may take long when there are many. Example: {}.",
        input=CountWords,
        output=Words,
        handler=partial(count_words, notebook),
        annotations=READ,
        meta={"gatelodge/cache": False},  # a result out of the cache would come without its progress
    )


async def count_words(notebook: Notebook, call: Call) -> Mapping[str, Any]:
    tenant = call.principal.tenant
    total = await notebook.count(tenant)
    if total > 1000:
        await call.become_task(ttl=3600)
    notes = words = 0
    async for text in notebook.texts(tenant):
        notes, words = notes + 1, words + len(text.split())
        if notes % 100 == 0:
            await call.progress(notes, total, f"{notes} of {total} notes")
    await call.log("info", {"notes": notes, "words": words}, logger="notes")
    return {"notes": notes, "words": words}
