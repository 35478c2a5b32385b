"""One log line for each call, and every other line of a call marked as its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from marshmallow import fields, validate

from ..contract import Call, Middleware, Next, Phase, Result
from ..dispatch import answered
from ..errors import FAULTS
from ..hookspecs import hookimpl
from ..logs import logged_as
from ..settings import Environment, setting
from ..storage import Storage
from ..switches import Switch

logger = logging.getLogger("gatelodge.calls")

SLOW = "slow_call_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    slow: float = setting(
        "GATELODGE_SLOW_CALL_MS",
        fields.Float(validate=validate.Range(min=0)),
        default=1000.0,
        help="Milliseconds from which a call is logged as slow, as a warning.",
    )


class TracePlugin:
    """Info for a call, a warning for one that was slow or failed through no fault of its caller."""

    def __init__(self) -> None:
        self._settings = TraceSettings()
        self._slow = self._settings.slow

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(TraceSettings)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        number = fields.Float(validate=validate.Range(min=0))
        help = "Milliseconds from which a call is logged as slow."
        return (Switch(name=SLOW, kind=number, default=self._settings.slow, help=help),)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("trace", Phase.TRACE, self.handle),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        storage.switches.follow(SLOW, self._set_slow)
        yield

    async def handle(self, call: Call, call_next: Next) -> Result:
        started, outcome = perf_counter(), "cancelled"
        with logged_as(call):
            try:
                result = await answered(call_next, call)
                outcome = result.outcome
                return result
            finally:
                self._log(outcome, 1000 * (perf_counter() - started))

    def _log(self, outcome: str, milliseconds: float) -> None:
        slow = milliseconds >= self._slow
        level = logging.WARNING if slow or outcome in FAULTS else logging.INFO
        if not logger.isEnabledFor(level):
            return
        extra = {"outcome": outcome, "duration_ms": round(milliseconds, 3)}
        logger.log(level, "call", extra=extra | {"slow": True} if slow else extra)

    def _set_slow(self, milliseconds: float) -> None:
        self._slow = milliseconds
