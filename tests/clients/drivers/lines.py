"""What every driver of a Python client does: a JSON line in for each thing to do, a JSON line out with what came of it.

The first line is the setup: `door` (http, sse or stdio), `url`, `command`, `args`, `env` and, where the client knows
both eras of the protocol, `mode`. Each further one is `{"do": …}` with the arguments of the method of that name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

PERSON = {"username": "Ada", "email": "ada@example.com"}
"""What the user of every driven client answers to a form."""

Setup = dict[str, Any]


def drive(connect: Callable[[Setup], AbstractAsyncContextManager[Any]]) -> None:
    """Connect, and do what the lines say until there are none."""
    asyncio.run(_drive(connect))


async def _drive(connect: Callable[[Setup], AbstractAsyncContextManager[Any]]) -> None:
    setup = await _next()
    assert setup is not None
    async with connect(setup) as client:
        _say({"revision": client.revision})
        while (line := await _next()) is not None:
            try:
                _say(await getattr(client, line.pop("do"))(**line))
            except Exception as error:  # whatever it is, the test shall read it
                _say({"thrown": repr(error)})


async def _next() -> dict[str, Any] | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return dict(json.loads(line)) if line else None


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
