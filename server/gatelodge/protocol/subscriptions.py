"""What a client wants to hear of, and change notices as its messages. Source: MCP 2026-07-28, "Subscriptions"."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..notices import Notice
from .jsonrpc import INVALID_PARAMS, Message, ProtocolError, notification

SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"
MOST_RESOURCES = 1000
LONGEST_URI = 2048
"""Characters of a URI that a session subscribes to, for each is kept as long as the session."""
LISTS = {"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}


def message_of(notice: Notice) -> dict[str, Any]:
    """The notification every revision knows."""
    if notice.kind == "resource":
        return notification("notifications/resources/updated", {"uri": notice.name})
    return notification(f"notifications/{notice.kind}/list_changed", {})


class Pending:
    """Notices that are yet to be sent; one that waits already is not added again, so a slow client costs little."""

    def __init__(self) -> None:
        self._notices: dict[Notice, None] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def add(self, notice: Notice) -> None:
        self._notices[notice] = None
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def next(self) -> Notice | None:
        """The oldest one, or None at the end."""
        while not self._notices:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        notice = next(iter(self._notices))
        del self._notices[notice]
        return notice


@dataclass(frozen=True, slots=True)
class Filter:
    """The kinds of list, the resources and the tasks one `subscriptions/listen` asks for."""

    kinds: frozenset[str]
    uris: frozenset[str]
    tasks: frozenset[str]

    def wants(self, notice: Notice) -> bool:
        if notice.kind == "resource":
            return notice.name in self.uris
        return notice.name in self.tasks if notice.kind == "task" else notice.kind in self.kinds

    def wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {name: True for name, kind in LISTS.items() if kind in self.kinds}
        if self.uris:
            wire["resourceSubscriptions"] = sorted(self.uris)
        if self.tasks:
            wire["taskIds"] = sorted(self.tasks)
        return wire


def read_filter(message: Message) -> Filter:
    """Raises `ProtocolError`. Kinds this server does not know are left out, as the acknowledgement then shows."""
    wanted = message.params.get("notifications")
    if not isinstance(wanted, dict):
        raise ProtocolError(INVALID_PARAMS, "notifications: must be an object")
    return Filter(
        frozenset(kind for name, kind in LISTS.items() if wanted.get(name) is True),
        _strings(wanted, "resourceSubscriptions"),
        _strings(wanted, "taskIds"),
    )


def tagged(message: Mapping[str, Any], id: str | int) -> dict[str, Any]:
    """A notification as part of the subscription that the request `id` opened."""
    return {**message, "params": {**message["params"], "_meta": {SUBSCRIPTION_KEY: id}}}


def _strings(wanted: Mapping[str, Any], name: str) -> frozenset[str]:
    items = wanted.get(name, [])
    if not isinstance(items, list) or len(items) > MOST_RESOURCES or not all(isinstance(item, str) for item in items):
        raise ProtocolError(INVALID_PARAMS, f"{name}: must be a list of at most {MOST_RESOURCES} strings")
    return frozenset(items)
