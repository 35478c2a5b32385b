"""A server process to be killed: `python -m tests.idempotency.replica DSN UPSTREAM STEP CALLS`.

Makes CALLS calls at once under one key, each again and again until it is settled; STEP is their request id. Prints a
line when it begins, a line when it has come to STEP, where it stays, and otherwise the outcomes as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from gatelodge import Call, Middleware, Next, Phase, Result

from ..governed import Gate

SETTINGS = {"GATELODGE_IDEMPOTENCY_LEASE": "1", "GATELODGE_IDEMPOTENCY_WAIT": "0.5"}
STEPS = ("before_claim", "after_claim", "after_effect")
TRY_AGAIN = ("conflict", "disabled")


def pause(step: str) -> list[Middleware]:
    """Middleware that stands still at `before_claim`, `after_claim` or `after_effect`; nothing for other steps."""

    async def before(call: Call, call_next: Next) -> Result:
        return await stand_still() if step in ("before_claim", "after_claim") else await call_next(call)

    async def after(call: Call, call_next: Next) -> Result:
        await call_next(call)
        return await stand_still()

    async def stand_still() -> Result:
        print("at", step, flush=True)
        await asyncio.Event().wait()
        raise AssertionError

    phase = Phase.LIMITS if step == "before_claim" else Phase.CACHE
    handle = after if step == "after_effect" else before
    return [Middleware("pause", phase, handle)] if step in STEPS else []


async def settled(gate: Gate, step: str) -> str:
    while True:
        result = await gate.add("a", "k", request_id=step)
        if result.outcome not in TRY_AGAIN:
            return f"{result.outcome} {result.structured['number']}" if result.structured else result.outcome
        await asyncio.sleep(0.1)


async def main(dsn: str, upstream: str, step: str, calls: int) -> None:
    async with Gate(dsn, upstream, *pause(step), **SETTINGS).open() as gate:
        print("calling", flush=True)
        outcomes = await asyncio.gather(*(settled(gate, step) for _ in range(calls)))
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
