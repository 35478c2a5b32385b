"""How much a caller may do: several limits taken from together, all or none, in Redis where there is one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client.registry import Collector

from ..contract import Call, HealthCheck, Middleware, Next, Phase, Result
from ..dispatch import answered
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..limiter.gcra import SECOND, Bucket, Level, Verdict
from ..limiter.limiter import Limiter
from ..limiter.memory import MemoryBuckets
from ..limiter.settings import (
    ENABLED,
    LIMITS,
    OVERRIDES,
    SHADOW,
    RateLimitSettings,
    limit_switches,
    read_book,
)
from ..metrics import Reading
from ..settings import Environment
from ..storage import Storage
from ..switches import Switch, Switches


class RateLimitsPlugin:
    """Refuses with `rate_limited`. While Redis is gone destructive tools are `disabled`, and limits on others local."""

    def __init__(self) -> None:
        self.settings = RateLimitSettings()
        self.limiter = Limiter(MemoryBuckets())
        self._switches = Switches(limit_switches(self.settings))
        self._book = read_book(self.settings, self._switches)

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self.settings = environment.read(RateLimitSettings)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        return limit_switches(self.settings)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("rate_limits", Phase.LIMITS, self.handle),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self.limiter = Limiter(MemoryBuckets(), storage.redis)
        self._switches = storage.switches
        for name in (LIMITS, OVERRIDES, SHADOW):
            storage.switches.follow(name, self._read)
        async with self.limiter.lifespan():
            yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = 'is Redis up? redis-cli -u "$REDIS_URL" ping; meanwhile each process counts for itself'
        return (HealthCheck("rate_limits", self.check, critical=False, advice=advice),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        """What the limiter counts anyway. Policies are the operator's, so there are only so many."""
        name = "gatelodge_rate_limit"
        return (
            Reading(f"{name}_decisions_total", "Calls decided.", lambda: self.limiter.decisions, "decision"),
            Reading(f"{name}_refusals_total", "Refusals.", lambda: self.limiter.policies("refused"), "policy"),
            Reading(f"{name}_shadowed_total", "In shadow mode.", lambda: self.limiter.policies("shadowed"), "policy"),
            Reading(f"{name}_redis_outages_total", "Times Redis was lost.", lambda: self.limiter.outages),
        )

    async def handle(self, call: Call, call_next: Next) -> Result:
        buckets = await self._buckets(call) if self._switches.get(ENABLED) else []
        cost = self._book.cost(call)
        if not buckets or not cost:
            return await call_next(call)
        verdict = await self.limiter.take(buckets, cost)
        if verdict.local and _destructive(call):
            raise _closed(self.limiter.retry_after)
        headers = limit_headers(verdict)
        refusing = verdict.refusing
        if refusing is not None:
            raise _refusal(refusing, headers)
        result = await answered(call_next, call)
        return replace(result, headers={**headers, **result.headers})

    async def _buckets(self, call: Call) -> Sequence[Bucket]:
        """A call that does not say which instance it means counts for each it may mean: unsaid is not another one."""
        tell = call.target.instances
        return self._book.buckets(call, None if tell is None else await tell(call))

    async def check(self) -> str:
        """Where buckets are kept, and how many calls were decided how. Fails while Redis is gone."""
        return self.limiter.report()

    def _read(self, value: object) -> None:
        self._book = read_book(self.settings, self._switches)


def limit_headers(verdict: Verdict) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, a member each policy; `t` is when the bucket is full again.

    Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
    """
    now, tightest = verdict.now, dict[str, Level]()
    for level in verdict.levels:
        other = tightest.get(level.policy.name)
        if not level.policy.shadow and (other is None or level.arrival > other.arrival):
            tightest[level.policy.name] = level
    levels = tightest.values()
    if not levels:
        return {}
    return {
        "RateLimit-Policy": ", ".join(level.policy.header for level in levels),
        "RateLimit": ", ".join(
            f'"{level.policy.name}";r={level.remaining(now)};t={level.full_in(now)}' for level in levels
        ),
    }


def _refusal(level: Level, headers: Mapping[str, str]) -> ToolError:
    policy = level.policy
    seconds = math.ceil(level.wait * 1000 / SECOND) / 1000
    return ToolError(
        ErrorCode.RATE_LIMITED,
        f"The limit of {policy.quota.amount} calls in {policy.quota.window} s for this {policy.subject} is used up;"
        f" try again in {seconds:g} s.",
        details={"policy": policy.name, "limit": policy.quota.amount, "window": policy.quota.window},
        retry_after=seconds,
        headers=headers,
    )


def _closed(retry_after: float) -> ToolError:
    return ToolError(
        ErrorCode.DISABLED,
        "Limits cannot be checked just now, and this tool can destroy; it is closed until they can.",
        details={"reason": "limits_unavailable"},
        retry_after=retry_after,
    )


def _destructive(call: Call) -> bool:
    if call.kind != "tool":
        return False
    annotations = call.target.tool.annotations
    return annotations.destructive and not annotations.read_only
