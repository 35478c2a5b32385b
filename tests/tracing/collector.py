"""A collector: an HTTP server that takes spans by OTLP, as protobuf, and keeps them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it arrived; ids are hexadecimal."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    state: str
    failed: bool
    seconds: float
    attributes: dict[str, Any]


class Collector:
    """`raw` is every byte that came, `headers` those of the last request; `refusing` makes it answer 400."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.refusing = False
        self.url = ""
        self._changed = asyncio.Event()

    async def named(self, name: str) -> Span:
        """The first span of this name, once it is there."""
        async with asyncio.timeout(30):
            while True:
                self._changed.clear()
                for span in self.spans:
                    if span.name == name:
                        return span
                await self._changed.wait()

    def below(self, span: Span) -> list[Span]:
        return [each for each in self.spans if each.parent == span.id]

    async def take(self, request: web.Request) -> web.Response:
        if self.refusing:
            return web.Response(status=400)
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw += body
        self.headers = dict(request.headers)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = _plain(group.resource.attributes)
            self.spans.extend(_span(item) for scope in group.scope_spans for item in scope.spans)
        self._changed.set()
        reply = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=reply, content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port of loopback."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


def _span(item: Any) -> Span:
    return Span(
        name=item.name,
        kind=KINDS[item.kind],
        trace=item.trace_id.hex(),
        id=item.span_id.hex(),
        parent=item.parent_span_id.hex(),
        state=item.trace_state,
        failed=item.status.code == 2,
        seconds=(item.end_time_unix_nano - item.start_time_unix_nano) / 1e9,
        attributes=_plain(item.attributes),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
