"""How much a caller may do: several limits taken from together, all or none, in Redis where there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from marshmallow import fields, validate

from ..contract import Call, HealthCheck, Middleware, Next, Phase, Principal, Result
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..limiter.gcra import Level, Verdict
from ..limiter.limiter import Limiter
from ..limiter.limits import Book, Limits, Overrides
from ..limiter.memory import MemoryBuckets
from ..limiter.quota import Quota, Quotas, parse_quotas
from ..limiter.subjects import SUBJECTS
from ..settings import ByTool, ByToolField, CommaSeparated, Environment, setting, whole_number
from ..storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """`default` calls in `window` seconds a Jira instance; the rest are quotas as `100/minute,1000/hour`, or `off`."""

    enabled: bool = setting("MCP_RATE_LIMIT_ENABLED", fields.Boolean(), default=True, help="Whether limits apply.")
    default: int = setting(
        "RATE_LIMIT_DEFAULT",
        fields.Integer(validate=validate.Range(min=1, max=10**9)),
        default=100,
        help="Calls to one Jira instance in each window.",
    )
    window: int = setting(
        "RATE_LIMIT_WINDOW",
        fields.Integer(validate=validate.Range(min=1, max=366 * 86400)),
        default=60,
        help="That window, in seconds.",
    )
    user: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_USER",
        Quotas(),
        default=parse_quotas("100/minute,1000/hour,10000/day"),
        help="Quotas of one user.",
    )
    address: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_ADDRESS", Quotas(), default=(), help="Quotas of one client address."
    )
    tenant: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_TENANT", Quotas(), default=(), help="Quotas of all users of a tenant together."
    )
    tool: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_TOOL", Quotas(), default=(), help="Quotas of each tool in a tenant."
    )
    tools: ByTool[tuple[Quota, ...]] = setting(
        "GATELODGE_RATE_LIMIT_TOOLS",
        ByToolField(parse_quotas),
        default=ByTool(),
        help="Quotas of single tools, as jira.create_issue=10/minute; sql.*=off.",
    )
    costs: ByTool[int] = setting(
        "GATELODGE_RATE_LIMIT_COSTS",
        ByToolField(whole_number),
        default=ByTool(),
        help="What a call of a tool counts as, as sql.*=5; jira.search=2.",
    )
    shadow: tuple[str, ...] = setting(
        "GATELODGE_RATE_LIMIT_SHADOW",
        CommaSeparated(validate=validate.ContainsOnly([*SUBJECTS, "all"])),
        default=(),
        help="Kinds of limits that are counted but refuse nothing: address, user, tenant, instance, tool or all.",
    )

    @property
    def limits(self) -> Limits:
        """The same as policies."""
        instance = (Quota(self.default, self.window),)
        quotas = {"user": self.user, "address": self.address, "tenant": self.tenant, "tool": self.tool}
        return Limits({"instance": instance, **quotas}, self.tools, frozenset(self.shadow))


class RateLimitsPlugin:
    """Refuses with `rate_limited`. While Redis is gone a destructive tool is `disabled`, limits on the rest are local.

    `overrides` gives the quotas that a tenant or key has in place of the configured ones.
    """

    def __init__(self, overrides: Overrides | None = None) -> None:
        self._overrides = overrides or _none
        self.settings = RateLimitSettings()
        self.limiter = Limiter(MemoryBuckets())
        self.book = Book(self.settings.limits, self.settings.costs, self._overrides)

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self.settings = environment.read(RateLimitSettings)
        self.book = Book(self.settings.limits, self.settings.costs, self._overrides)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("rate_limits", Phase.LIMITS, self.handle),) if self.settings.enabled else ()

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self.limiter = Limiter(MemoryBuckets(), storage.redis)
        async with self.limiter.lifespan():
            yield

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        return (HealthCheck("rate_limits", self.check, critical=False),)

    async def handle(self, call: Call, call_next: Next) -> Result:
        buckets = self.book.buckets(call)
        cost = self.book.cost(call)
        if not buckets or not cost:
            return await call_next(call)
        verdict = await self.limiter.take(buckets, cost)
        if verdict.local and _destructive(call):
            raise _closed(self.limiter.retry_after)
        headers = limit_headers(verdict)
        refusing = verdict.refusing
        if refusing is not None:
            raise _refusal(refusing, headers)
        result = await call_next(call)
        return replace(result, headers={**headers, **result.headers})

    async def check(self) -> str:
        """Where buckets are kept, and how many calls were decided how. Fails while Redis is gone."""
        return self.limiter.report()


def limit_headers(verdict: Verdict) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, a member each policy; `t` is when the bucket is full again.

    Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
    """
    levels = [level for level in verdict.levels if not level.policy.shadow]
    now = verdict.now
    return {
        "RateLimit-Policy": ", ".join(level.policy.header for level in levels),
        "RateLimit": ", ".join(
            f'"{level.policy.name}";r={level.remaining(now)};t={level.full_in(now)}' for level in levels
        ),
    }


def _refusal(level: Level, headers: Mapping[str, str]) -> ToolError:
    policy = level.policy
    seconds = round(level.wait / 1_000_000, 3)
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


def _none(principal: Principal) -> None:
    """No tenant and no key has limits of its own."""
