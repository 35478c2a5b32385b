"""What an instance says about itself changes rarely: remembered for a while, asked for once however many wait."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

MOST = 1000


class Remembered:
    """Values by key, each for `seconds`; the oldest go when there are more than `MOST`. Failures are not remembered."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[Any, tuple[float, asyncio.Task[Any]]] = OrderedDict()

    async def get(self, key: Any, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The remembered answer of `ask`, which runs on even if the first who wanted it has gone."""
        until, task = self._values.get(key, (0.0, None))
        if task is None or until < monotonic() or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.ensure_future(ask())
            self._values[key] = (monotonic() + self._seconds, task)
            self._values.move_to_end(key)
            while len(self._values) > MOST:
                self._values.popitem(last=False)
        return await asyncio.shield(task)

    def forget(self, key: Any) -> None:
        self._values.pop(key, None)
