"""How many calls run at once, and how large a result may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from marshmallow import fields, validate
from prometheus_client.registry import Collector

from ..contract import Call, HealthCheck, Middleware, Next, Phase, Result
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..metrics import Reading
from ..settings import ByTool, ByToolField, Environment, setting, whole_number
from ..storage import Storage
from ..switches import Switch

MAX_CALLS = "max_calls"
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencySettings:
    """Numbers are for each process; 0 is no limit."""

    tenant: int = setting(
        "GATELODGE_MAX_CALLS",
        fields.Integer(validate=validate.Range(min=0)),
        default=64,
        help="Calls of one tenant that may run at once in one process; 0 for any number.",
    )
    tools: ByTool[int] = setting(
        "GATELODGE_MAX_CALLS_BY_TOOL",
        ByToolField(whole_number),
        default=ByTool(),
        help="The same for single tools, as jira.search=8; sql.*=4.",
    )
    max_result: int = setting(
        "GATELODGE_MAX_RESULT",
        fields.Integer(validate=validate.Range(min=1024)),
        default=8 * 2**20,
        help="Bytes of the largest result of a read-only call.",
    )


class ConcurrencyPlugin:
    """Refuses what is too much at once with `rate_limited`, before it costs anything."""

    def __init__(self) -> None:
        self.settings = ConcurrencySettings()
        self.running: Counter[tuple[Hashable, ...]] = Counter()
        self.refused = 0
        self._limit = self.settings.tenant

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self.settings = environment.read(ConcurrencySettings)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        number = fields.Integer(strict=True, validate=validate.Range(min=0))
        help = "Calls of one tenant that may run at once in one process; 0 for any number."
        return (Switch(name=MAX_CALLS, kind=number, default=self.settings.tenant, help=help),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        storage.switches.follow(MAX_CALLS, self._set_limit)
        yield

    @hookimpl(tryfirst=True)
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (
            Middleware("concurrency", Phase.LIMITS, self.handle),
            Middleware("result_size", Phase.DEADLINE, self.measure),
        )

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        return (HealthCheck("concurrency", self.check, critical=False),)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        help = "Calls refused because too many ran."
        return (Reading("gatelodge_concurrency_refusals_total", help, lambda: self.refused),)

    async def check(self) -> str:
        """How many calls run, over all tenants, and how many were refused."""
        running = sum(count for (kind, *_), count in self.running.items() if kind == "tenant")
        return f"{running} running, {self.refused} refused"

    async def handle(self, call: Call, call_next: Next) -> Result:
        tenant = call.principal.tenant
        of_tool = self.settings.tools.get(call.name) if call.kind == "tool" else None
        with self._place(("tenant", tenant), self._limit):
            if not of_tool:
                return await call_next(call)
            with self._place(("tool", tenant, call.name), of_tool):
                return await call_next(call)

    async def measure(self, call: Call, call_next: Next) -> Result:
        """A result that is too large is an error. Not of a write: it has happened, and its answer is never withheld."""
        result = await call_next(call)
        if call.read_only and result.error is None:
            size = len(msgspec.json.encode((result.structured, result.content)))
            if size > self.settings.max_result:
                raise _too_large(size, self.settings.max_result)
        return result

    def _set_limit(self, limit: int) -> None:
        self._limit = limit

    def _place(self, what: tuple[Hashable, ...], limit: int) -> _Place:
        if limit and self.running[what] >= limit:
            self.refused += 1
            raise _too_many(str(what[0]), limit)
        return _Place(self.running, what)


class _Place:
    """Taken for as long as a call runs. Counts are forgotten at nought, so they take no more room than there are calls."""

    __slots__ = ("_running", "_what")

    def __init__(self, running: Counter[tuple[Hashable, ...]], what: tuple[Hashable, ...]) -> None:
        self._running = running
        self._what = what

    def __enter__(self) -> None:
        self._running[self._what] += 1

    def __exit__(self, *why: object) -> None:
        self._running[self._what] -= 1
        if not self._running[self._what]:
            del self._running[self._what]


def _too_many(kind: str, limit: int) -> ToolError:
    return ToolError(
        ErrorCode.RATE_LIMITED,
        f"{limit} calls of this {kind} are running already; try again when one has finished.",
        details={"policy": f"{kind}-concurrency", "limit": limit},
        retry_after=RETRY_AFTER,
    )


def _too_large(size: int, limit: int) -> ToolError:
    return ToolError(
        ErrorCode.VALIDATION_ERROR,
        f"The result has {size} bytes, more than the limit of {limit}; ask for fewer rows or fields.",
        details={"reason": "result_too_large", "size": size, "limit": limit},
    )
