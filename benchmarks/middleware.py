"""What each middleware costs, in µs of one call, and the whole fold against no governance.

    python benchmarks/middleware.py [--redis redis://localhost] [--calls 2000]

A server with every built-in plugin over a Postgres of its own, limits raised out of the way. Each middleware is folded alone
around a tool that answers at once; its price is the median over the rounds, less that of the bare tool. Then the whole
fold: a read that the cache may not answer, one that it does, and writes, many at once as rows are written together. All
is this process's CPU time, the writing of audit rows included, so that a busy machine changes little of it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from gatelodge import READ, WRITE, Call, Middleware, Principal, Tool, hookimpl
from gatelodge.application import Server, open_server
from gatelodge.dispatch import Dispatch, new_deadline
from gatelodge.storage import migrations
from gatelodge.storage.embedded import embedded_postgres

ROUNDS = 7
TOGETHER = 64
WHO = Principal(
    tenant=UUID(int=1), user="bench", method="api_key", address="192.0.2.1", scopes=frozenset({"bench:write"})
)
SETTINGS = {
    "MCP_PORT": "0",
    "MCP_JIRA_PORT": "0",
    "MCP_SQL_PORT": "0",
    "GATELODGE_LOCAL_USER": "true",
    "GATELODGE_MAX_CALLS": "0",
    "RATE_LIMIT_DEFAULT": "900000000",
    "GATELODGE_RATE_LIMIT_USER": "900000000/minute,900000000/hour,900000000/day",
    "GATELODGE_CACHE_TTL": "3600",
    "GATELODGE_AUDIT_QUEUE": "1000000",
    "GATELODGE_TOOL_PINNING": "true",
    "GATELODGE_CONFIRM": "destructive",
}
ALONE_NEEDS_OTHERS = frozenset({"idempotency", "intent"})
"""For a read they only step aside; what they cost a write shows in the whole."""


class EchoArguments(Schema):
    text = fields.String(required=True)
    instance_id = fields.String()


class Echo(Schema):
    text = fields.String(required=True)


async def echo(call: Call) -> Mapping[str, Any]:
    return {"text": call.arguments["text"]}


class BenchPlugin:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return tuple(
            Tool(
                name=f"bench.{verb}",
                title=verb,
                description=verb,
                input=EchoArguments,
                output=Echo,
                handler=echo,
                annotations=annotations,
            )
            for verb, annotations in (("read", READ), ("write", WRITE))
        )


@asynccontextmanager
async def opened(redis: str | None) -> AsyncIterator[Server]:
    """A server over a Postgres of its own."""
    with short_folder() as folder:
        async with embedded_postgres(folder / "cluster") as dsn:
            await migrations.up(dsn)
            settings = SETTINGS | {"DATABASE_URL": dsn} | ({"REDIS_URL": redis} if redis else {})
            async with open_server(settings, extra_plugins=[("bench", BenchPlugin)]) as server:
                yield server


@contextmanager
def short_folder() -> Iterator[Path]:
    """With a short path, for sockets, that any user may enter: under root, Postgres runs as `nobody`."""
    with tempfile.TemporaryDirectory(prefix="gl-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


Make = Callable[[], Call]


def maker(server: Server, verb: str, **more: Any) -> Make:
    target = server.hub.tools[f"bench.{verb}"]

    def make() -> Call:
        given = {name: value() if callable(value) else value for name, value in more.items()}
        return Call(
            kind="tool",
            name=target.tool.name,
            target=target,
            owner=target.owner,
            arguments={"text": "hello"},
            principal=WHO,
            request_id="bench",
            door="bench",
            deadline=new_deadline(30),
            read_only=target.tool.annotations.read_only,
            **given,
        )

    return make


@dataclass(frozen=True, slots=True)
class Scales:
    """`queued` says how many audit rows are not written yet: a round ends when there are none."""

    queued: Callable[[], float]
    calls: int

    async def price(self, middleware: Sequence[Middleware], make: Make, together: int = 1) -> float:
        """Microseconds a call, the median of the rounds."""
        dispatch = Dispatch(middleware)
        return statistics.median([await self._round(dispatch, make, together) for _ in range(ROUNDS)])

    async def _round(self, dispatch: Dispatch, make: Make, together: int) -> float:
        batch = [make() for _ in range(self.calls)]
        begun = time.process_time()
        for start in range(0, self.calls, together):
            some = batch[start : start + together]
            results = [await dispatch(some[0])] if together == 1 else await asyncio.gather(*map(dispatch, some))
            assert all(result.error is None for result in results), results
        while self.queued():  # noqa: ASYNC110, a queue that empties sets no event
            await asyncio.sleep(0.001)
        return (time.process_time() - begun) / self.calls * 1e6


async def main(redis: str | None, calls: int) -> None:
    async with opened(redis) as server:
        whole = server.catalogue.middleware
        scales = Scales(server.catalogue.plugins["audit"].object.queued, calls)
        fresh = maker(server, "read", meta={"gatelodge/cache": False})
        bare = await scales.price((), fresh)
        print(f"{'bare tool':<28}{bare:9.1f} µs")
        for item in whole:
            note = " (of a read)" if item.name in ALONE_NEEDS_OTHERS else ""
            print(f"{item.name + note:<28}{await scales.price((item,), fresh) - bare:+9.1f} µs")
        numbers = itertools.count()
        keyed = maker(server, "write", idempotency_key=lambda: f"bench-{next(numbers)}")
        for name, make, together in (
            ("whole: read", fresh, 1),
            ("whole: read, cached", maker(server, "read"), 1),
            (f"whole: write, {TOGETHER} at once", maker(server, "write"), TOGETHER),
            (f"whole: with key, {TOGETHER} at once", keyed, TOGETHER),
        ):
            cost = await scales.price(whole, make, together)
            print(f"{name:<28}{cost:9.1f} µs  ×{cost / bare:.1f} of the bare tool")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", default=None, help="keep buckets and entries there instead of in this process")
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    asyncio.run(main(options.redis, options.calls))
