"""Notes to read by URI, and a prompt about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gatelodge import Argument, Call, Message, Prompt, Resource, Result, Text, TextContents

from .notebook import Notebook
from .writing import not_found


@dataclass(frozen=True, slots=True)
class Pages:
    """Over one notebook."""

    notebook: Notebook

    def resources(self) -> Sequence[Resource]:
        topics = Resource(
            uri="notes://topics",
            name="topics",
            title="Topics",
            description="The topics there are notes about.",
            handler=self.topics,
            mime_type="application/json",
        )
        topic = Resource(
            uri="notes://topic/{topic}",
            name="topic",
            title="Notes of a topic",
            description="The newest notes about one topic.",
            handler=self.topic,
            complete={"topic": self.complete},
        )
        return topics, topic

    def prompts(self) -> Sequence[Prompt]:
        topic = Argument(name="topic", description="What to sum up.", required=True, complete=self.complete)
        return (
            Prompt(
                name="notes-summary",
                title="Sum up a topic",
                description="Sums up what the team has noted about a topic.",
                handler=self.summary,
                arguments=(topic,),
            ),
        )

    async def topics(self, call: Call) -> Result:
        body = msgspec.json.encode(await self.notebook.topics(call.principal.tenant)).decode()
        return Result(content=(TextContents(call.name, body, "application/json"),))

    async def topic(self, call: Call) -> Result:
        return Result(content=(TextContents(call.name, await self._text(call, call.arguments["topic"])),))

    async def summary(self, call: Call) -> Result:
        text = await self._text(call, call.arguments["topic"])
        return Result(content=(Message("user", Text(f"Sum up what we have decided:\n\n{text}")),))

    async def complete(self, call: Call) -> Sequence[str]:
        typed = call.arguments.get("topic", "")
        return [topic for topic in await self.notebook.topics(call.principal.tenant) if topic.startswith(typed)]

    async def _text(self, call: Call, topic: str) -> str:
        notes = await self.notebook.find(call.principal.tenant, topic=topic, text="", limit=50)
        if not notes:
            raise not_found(topic)
        return "\n".join(f"- {note['text']} ({note['author']})" for note in notes)
