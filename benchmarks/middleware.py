"""What each middleware costs, in µs of one call, and the whole fold against none.

    python benchmarks/middleware.py [--redis redis://localhost] [--calls 5000]

Each plugin is configured from no environment at all, limits raised out of the way, and folded alone around a tool that
answers at once; the price is the median over the rounds, less that of the bare tool.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from gatelodge import READ, Call, Environment, Middleware, Principal, Storage, Tool
from gatelodge.dispatch import Dispatch, compile_tool, new_deadline
from gatelodge.middleware.cache import CachePlugin
from gatelodge.middleware.concurrency import ConcurrencyPlugin
from gatelodge.middleware.deadline import DeadlinePlugin
from gatelodge.middleware.rate_limits import RateLimitsPlugin
from gatelodge.middleware.validation import ValidationPlugin
from gatelodge.storage.redis import connect
from gatelodge.switches import Switches

ROUNDS = 7
WHO = Principal(tenant=UUID(int=1), user="bench", method="api_key", address="192.0.2.1")
RAISED = {
    "RATE_LIMIT_DEFAULT": "900000000",
    "GATELODGE_RATE_LIMIT_USER": "900000000/minute,900000000/hour,900000000/day",
    "GATELODGE_CACHE_TTL": "3600",
}


class EchoArguments(Schema):
    text = fields.String(required=True)
    instance_id = fields.String()


async def echo(call: Call) -> Mapping[str, Any]:
    return {"text": call.arguments["text"]}


TOOL = compile_tool(
    "bench",
    Tool(name="bench.echo", title="Echo", description="Echo.", input=EchoArguments, handler=echo, annotations=READ),
)


@asynccontextmanager
async def opened(plugin: Any, redis: Any) -> AsyncIterator[Sequence[Middleware]]:
    """The plugin's middleware, with its limits raised out of the way."""
    if hasattr(plugin, "gatelodge_configure"):
        plugin.gatelodge_configure(environment=Environment(RAISED))
    switches = Switches(plugin.gatelodge_switches() if hasattr(plugin, "gatelodge_switches") else ())
    middleware = plugin.gatelodge_middleware()
    if not hasattr(plugin, "gatelodge_lifespan"):
        yield middleware
        return
    async with plugin.gatelodge_lifespan(storage=Storage(postgres=None, redis=redis, switches=switches)):
        yield middleware


async def price(middleware: Sequence[Middleware], calls: int) -> float:
    """Microseconds a call, the median of the rounds."""
    dispatch = Dispatch(middleware)
    return statistics.median([await _round(dispatch, calls) for _ in range(ROUNDS)])


async def _round(dispatch: Dispatch, calls: int) -> float:
    batch = [_call() for _ in range(calls)]
    begun = time.perf_counter()
    for call in batch:
        await dispatch(call)
    return (time.perf_counter() - begun) / calls * 1e6


def _call() -> Call:
    return Call(
        kind="tool",
        name="bench.echo",
        target=TOOL,
        owner="bench",
        arguments={"text": "hello"},
        principal=WHO,
        request_id="bench",
        door="bench",
        deadline=new_deadline(30),
    )


async def main(url: str | None, calls: int) -> None:
    async with AsyncExitStack() as stack:
        redis = None if url is None else connect(url)
        if redis is not None:
            stack.push_async_callback(redis.aclose)
        plugins = (ValidationPlugin(), ConcurrencyPlugin(), RateLimitsPlugin(), CachePlugin(), DeadlinePlugin())
        batches = [await stack.enter_async_context(opened(plugin, redis)) for plugin in plugins]
        middleware = sorted((item for batch in batches for item in batch), key=lambda item: item.phase)
        bare = await price((), calls)
        print(f"{'bare tool':<16}{bare:8.1f} µs")
        for item in middleware:
            print(f"{item.name:<16}{await price((item,), calls) - bare:+8.1f} µs")
        whole = await price(middleware, calls)
        print(f"{'all of them':<16}{whole:8.1f} µs  ×{whole / bare:.1f} of the bare tool")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", default=None, help="keep buckets and entries there instead of in this process")
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    asyncio.run(main(options.redis, options.calls))
