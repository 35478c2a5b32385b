"""What a store of shared state does: values that expire, and boxes of messages in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

START = "0-0"
"""Before every message."""
WAIT = 0.5
"""Seconds that `read` waits for a message."""

_POSITION = re.compile(r"[0-9]{1,15}-[0-9]{1,10}", re.ASCII)


class Post(NamedTuple):
    """A message, and its place in its box. Places of one box sort by `order`."""

    box: str
    position: str
    data: bytes


class Shared(Protocol):
    """Times are in seconds. A box keeps the last `most` messages, until nothing was added to it for `ttl`."""

    async def get(self, *keys: str) -> list[bytes | None]:
        """The values, in one go."""

    async def put(self, key: str, data: bytes, *, ttl: float) -> None: ...

    async def touch(self, keys: Sequence[str], *, ttl: float) -> list[bytes | None]:
        """The values, each kept for `ttl` from now on."""

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        """Put the new value where the old one still is; answers whether it was."""

    async def drop(self, key: str) -> None: ...

    async def post(self, box: str, *messages: bytes, most: int, ttl: float) -> None: ...

    async def read(self, after: Mapping[str, str]) -> list[Post]:
        """What came into these boxes after these positions; waits a little while there is nothing."""

    async def since(self, box: str, position: str) -> list[Post]:
        """All that is in a box after a position."""

    async def last(self, box: str) -> str:
        """The position of the newest message."""

    async def trim(self, box: str, position: str) -> None:
        """Forget the messages up to and with this position."""


def order(position: str) -> tuple[int, int]:
    """A key to sort positions by."""
    time, _, number = position.partition("-")
    return int(time), int(number)


def is_position(text: str) -> bool:
    """Whether a text, which may be a client's, is a position."""
    return _POSITION.fullmatch(text) is not None
