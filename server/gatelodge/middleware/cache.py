"""Results of read-only tools are kept for a while, for the same caller asking the same again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from marshmallow import fields, validate
from prometheus_client.registry import Collector

from ..caching.cache import Cache
from ..caching.entry import Entry, decode, encode
from ..caching.flights import Flights
from ..caching.key import Scope, entry_key, scope_of
from ..contract import Call, Channel, HealthCheck, Middleware, Next, Phase, Result
from ..errors import ToolError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..settings import ByTool, ByToolField, Environment, setting
from ..storage import Storage
from ..switches import Switch, Switches

ENABLED = "cache_enabled"
TTL = "cache_ttl"
LONGEST = 86400.0
"""Seconds that an entry may serve at most."""
MARK = "gatelodge/cache"
"""In a tool's `meta`: False to keep nothing, or seconds. In a call's `_meta`: False to be asked afresh."""


def seconds(text: str) -> float:
    """Seconds of a setting. Raises `ValueError`."""
    value = float(text)
    if not 0 <= value <= LONGEST:
        raise ValueError(f"{text} is not between 0 and {LONGEST:g}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Sizes are in bytes, times in seconds."""

    enabled: bool = setting("GATELODGE_CACHE", fields.Boolean(), default=True, help="Whether results are kept.")
    ttl: float = setting(
        "GATELODGE_CACHE_TTL",
        fields.Float(validate=validate.Range(min=0, max=LONGEST)),
        default=300.0,
        help="Seconds a result of a read-only tool is kept.",
    )
    ttls: ByTool[float] = setting(
        "GATELODGE_CACHE_TTLS",
        ByToolField(seconds),
        default=ByTool(),
        help="Seconds for single tools, as jira.search=30; sql.*=0.",
    )
    max_entry: int = setting(
        "GATELODGE_CACHE_MAX_ENTRY",
        fields.Integer(validate=validate.Range(min=0)),
        default=64 * 1024,
        help="Bytes of the largest result that is kept.",
    )
    max_bytes: int = setting(
        "GATELODGE_CACHE_MAX_BYTES",
        fields.Integer(validate=validate.Range(min=0)),
        default=64 * 2**20,
        help="Bytes of all results kept in this process; in Redis its own maxmemory counts.",
    )


class CachePlugin:
    """Inside the audit and the limits, so a call answered from here is written down and counted like any other."""

    def __init__(self) -> None:
        self.settings = CacheSettings()
        self.counts: Counter[str] = Counter()
        self._cache = Cache(self.settings.max_bytes)
        self._flights = Flights()
        self._switches = Switches(self.gatelodge_switches())

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self.settings = environment.read(CacheSettings)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        on_or_off = fields.Boolean(truthy={True}, falsy={False})
        time_to_live = fields.Float(validate=validate.Range(min=0, max=LONGEST))
        settings = self.settings
        return (
            Switch(name=ENABLED, kind=on_or_off, default=settings.enabled, help="Whether results are kept."),
            Switch(name=TTL, kind=time_to_live, default=settings.ttl, help="Seconds a result is kept."),
        )

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("cache", Phase.CACHE, self.handle),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._cache = Cache(self.settings.max_bytes, storage.redis)
        self._switches = storage.switches
        async with self._cache.lifespan():
            yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = 'is Redis up? redis-cli -u "$REDIS_URL" ping; meanwhile calls take longer'
        return (HealthCheck("cache", self.check, critical=False, advice=advice),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (
            Reading(
                "gatelodge_cache_lookups_total", "Reads that asked the cache.", lambda: dict(self.counts), "result"
            ),
            Reading("gatelodge_cache_redis_outages_total", "Times Redis was lost.", lambda: self._cache.outages),
        )

    async def check(self) -> str:
        """Where results are kept, and how often they served. Fails while Redis is gone."""
        counted = ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
        return f"{self._cache.place()}; {counted or 'nothing asked yet'}"

    async def handle(self, call: Call, call_next: Next) -> Result:
        if call.kind != "tool":
            return await call_next(call)
        if not call.read_only:  # even while the cache is off: it may come on before older entries have gone
            return await self._write(call, call_next)
        ttl = self._ttl(call)
        key = entry_key(call) if ttl and call.meta.get(MARK) is not False else None
        return await call_next(call) if key is None else await self._read(call, call_next, key, ttl)

    async def _write(self, call: Call, call_next: Next) -> Result:
        """Whatever comes of it, the write may have happened."""
        try:
            return await call_next(call)
        finally:
            await self._cache.invalidate(scope_of(call))

    async def _read(self, call: Call, call_next: Next, key: str, ttl: float) -> Result:
        scope = scope_of(call)
        generation, data = await self._cache.get(scope, key)
        entry = None if data is None else decode(data)
        now = time.time()
        flight = f"{generation}:{key}"  # what was asked before a write must not answer who asks after it
        if entry is not None and (flight in self._flights or not entry.due(now)):
            return self._hit(entry, now)
        if flight in self._flights:
            return await self._join(call, call_next, flight)
        self.counts["misses"] += 1
        return await self._flights.lead(flight, lambda: self._ask(call, call_next, scope, key, ttl, generation))

    def _hit(self, entry: Entry, now: float) -> Result:
        self.counts["hits"] += 1
        return entry.result(now)

    async def _join(self, call: Call, call_next: Next, flight: str) -> Result:
        self.counts["joined"] += 1
        async with asyncio.timeout_at(call.deadline):
            shared = await self._flights.join(flight)
        return await call_next(call) if shared is None else shared

    async def _ask(
        self, call: Call, call_next: Next, scope: Scope, key: str, ttl: float, generation: str
    ) -> tuple[Result, bool]:
        """Ask the tool, and keep what may be kept. What depends on this client or its deadline is for it alone."""
        channel = _Attentive(call.channel)
        started = time.time()
        try:
            result = await call_next(replace(call, channel=cast(Channel, channel)))
        except ToolError as error:
            result = Result(error=error)
        if channel.asked or result.outcome in ("input_required", "timeout"):
            return result, False
        limit = self.settings.max_entry
        data = encode(result, made=started, took=time.time() - started, ttl=ttl, limit=limit)
        if data is not None:
            await self._cache.put(scope, key, data, ttl=ttl, generation=generation)
        return result, True

    def _ttl(self, call: Call) -> float:
        """Seconds for this tool: by the setting, else by its `meta`, else the default."""
        if not self._switches.get(ENABLED):
            return 0.0
        configured = self.settings.ttls.get(call.name)
        if configured is not None:
            return configured
        marked: Any = call.target.tool.meta.get(MARK, True)
        if type(marked) in (int, float):
            return min(max(float(marked), 0.0), LONGEST)
        return float(self._switches.get(TTL)) if marked else 0.0


class _Attentive:
    """A channel that remembers whether the client was asked anything, were it only whether it can be asked."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.progress = channel.progress
        self.log = channel.log
        self.waits = channel.waits  # what the deadline asks, whatever the tool does
        self.asked = False

    def __getattr__(self, name: str) -> Any:
        self.asked = True
        return getattr(self._channel, name)
