"""Change notices: what a plugin says has changed, and what every open client that listens for it hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Follower = Callable[["Notice"], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """A list that has changed, or one resource by its URI, or one task by its id."""

    kind: Literal["tools", "prompts", "resources", "resource", "task"]
    name: str = ""


class Notices:
    """Handed to a plugin's lifespan; may be called at any time while the server runs, from its event loop."""

    def __init__(self) -> None:
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
        """Let every follower hear of it."""
        for follower in list(self._followers):
            follower(notice)
