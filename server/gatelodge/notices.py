"""Change notices: what a plugin says has changed, and what every open client of every replica that listens for it hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from .replicas.exchange import Exchange
from .replicas.seal import Told

Follower = Callable[["Notice"], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """A list that has changed, or one resource by its URI, or one task by its id."""

    kind: Literal["tools", "prompts", "resources", "resource", "task"]
    name: str = ""


class Notices:
    """Handed to a plugin's lifespan; may be called at any time while the server runs, from its event loop.

    A change that every replica finds out for itself may be told by each. A client hears of it as often, the last time when
    the last replica shows the change: whichever answers it then, it does not keep what was before.

    Without an exchange they are told at once, to who follows here.
    """

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._exchange = exchange
        self._followers: list[Follower] = []

    def tools_changed(self) -> None:
        """The list of tools, for some caller at least, is not what it was."""
        self.tell(Notice("tools"))

    def prompts_changed(self) -> None:
        self.tell(Notice("prompts"))

    def resources_changed(self) -> None:
        self.tell(Notice("resources"))

    def resource_updated(self, uri: str) -> None:
        """Reading `uri` gives something else than before."""
        self.tell(Notice("resource", uri))

    @contextmanager
    def followed(self, follower: Follower) -> Iterator[None]:
        """While open, `follower` is called with each notice; it may not block."""
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    def tell(self, notice: Notice) -> None:
        """Let every follower on every replica hear of it."""
        if self._exchange is None:
            self._hear(notice)
        else:
            self._exchange.notify(notice.kind, notice.name)

    async def hear(self, told: Told) -> None:
        """Let every follower here hear of it: what the exchange does with each message that is a notice."""
        self._hear(notice_of(told))

    def _hear(self, notice: Notice) -> None:
        for follower in list(self._followers):
            follower(notice)


def notice_of(told: Told) -> Notice:
    return Notice(told.about, told.data)  # type: ignore[arg-type] # replicas say what they were told by this class
