"""What the sandbox was asked, in order."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request that came. `path` is without the query; `body` is JSON, or the text of what is none, or `None`."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class Record:
    """The last requests, and a way to wait for one."""

    def __init__(self) -> None:
        self.requests: deque[Recorded] = deque(maxlen=REMEMBERED)
        self._news = asyncio.Event()

    def add(self, request: Recorded) -> None:
        self.requests.append(request)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def arrival(self, match: str) -> Recorded:
        """The first request that is remembered, or comes, with the pattern `match` in its `METHOD /path`."""
        while True:
            for request in self.requests:
                if re.search(match, request.line):
                    return request
            await self._news.wait()
