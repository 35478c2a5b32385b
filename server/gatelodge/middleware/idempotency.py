"""A write with an idempotency key happens once, however often and wherever it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate
from prometheus_client.registry import Collector

from ..audit.journal import NotIntended, entry, unrecorded
from ..contract import Call, Middleware, Next, Phase, Result
from ..errors import ErrorCode, StartupError, ToolError
from ..hookspecs import hookimpl
from ..idempotency.claim import KeyClaim, Leases, check_key, fingerprint, lapsed
from ..idempotency.store import Held, Key, Opening, look, take_over
from ..idempotency.stored import unpack
from ..metrics import Reading
from ..settings import Environment, setting
from ..storage import Storage
from ..storage.bounded import bounded
from ..storage.postgres import CONNECTION_ERRORS
from .intent import has_effect

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

FIRST_POLL, LONGEST_POLL = 0.05, 0.4
"""Seconds between looks at a call that is still running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencySettings:
    """All in seconds. `lease` is how long a key outlives its holder's last sign, `memory` how long a result is kept."""

    lease: float = setting(
        "GATELODGE_IDEMPOTENCY_LEASE",
        fields.Float(validate=validate.Range(min=0.3, max=3600)),
        default=15.0,
        help="Seconds after which a call whose server is gone has an unknown outcome.",
    )
    memory: float = setting(
        "GATELODGE_IDEMPOTENCY_MEMORY",
        fields.Float(validate=validate.Range(min=1)),
        default=86400.0,
        help="Seconds for which a result is kept for retries.",
    )
    wait: float = setting(
        "GATELODGE_IDEMPOTENCY_WAIT",
        fields.Float(validate=validate.Range(min=0, max=30)),
        default=2.0,
        help="Seconds a retry waits for the call that is still running.",
    )


class IdempotencyPlugin:
    """Claims the key together with the intent, replays what is done, and never takes an unknown outcome for none."""

    def __init__(self) -> None:
        self._settings = IdempotencySettings()
        self._pool: Pool[Any] | None = None
        self._leases: Leases | None = None

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(IdempotencySettings)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("idempotency", Phase.IDEMPOTENCY, self._once),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._pool = storage.postgres
        self._leases = Leases(storage.postgres, self._settings.lease)
        async with self._leases.running():
            yield

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        """Replays and conflicts are outcomes of calls, and counted there."""
        help = "Keys held by calls under way."
        return (Reading("gatelodge_idempotency_keys_held", help, self._held),)

    def _held(self) -> float:
        return 0 if self._leases is None else len(self._leases)

    async def _once(self, call: Call, call_next: Next) -> Result:
        if call.idempotency_key is None or not has_effect(call):
            return await call_next(call)
        key = Key(call.principal.tenant, call.name, check_key(call.idempotency_key))
        print_ = fingerprint(call.arguments, call.principal.user)
        until = asyncio.get_running_loop().time() + self._settings.wait
        while True:
            claim = KeyClaim(Opening(key, print_, call.request_id, self._settings.lease, self._settings.memory))
            result = await self._first(call, call_next, claim)
            if result is None:
                result = await self._again(call, claim, until)
            if result is not None:
                return result

    async def _first(self, call: Call, call_next: Next, claim: KeyClaim) -> Result | None:
        """The call itself, if the key is free; else None, and the claim knows who holds it."""
        leases, here = self._open[1], entry()
        here.claim = claim
        leases.keep(claim)
        try:
            return await call_next(call)
        except NotIntended:
            leases.forget(claim)
            return None
        except ToolError:  # it could not be recorded, so it did not happen
            leases.forget(claim)
            raise
        finally:
            here.claim = None

    async def _again(self, call: Call, claim: KeyClaim, until: float) -> Result | None:
        """What a key that is taken leads to; None when it has become free."""
        held = claim.opening.held
        if held is not None and held.fingerprint != claim.opening.fingerprint:
            message = "This idempotency key was used with other arguments, or by another user. Give each call a key of its own."
            raise ToolError(ErrorCode.CONFLICT, message, status=422, details=_FIELD)
        if held is not None and held.state == "claimed" and not held.lapsed:
            held = await self._ended(claim.opening.key, until)
        if held is None:
            return None
        if held.uncertain:
            return await self._resolve(call, claim, held)
        return unpack(held.result or "null")

    async def _ended(self, key: Key, until: float) -> Held | None:
        """How a running call ended. Raises `conflict` when it takes longer than we wait."""
        pause = FIRST_POLL
        while True:
            async with _asking(self._open[0]) as postgres:
                held = (await look(postgres, [key])).get(key)
            if held is None or held.state != "claimed" or held.lapsed:
                return held
            if asyncio.get_running_loop().time() >= until:
                message = (
                    "A call with this idempotency key is still running; send this again in a moment for its result."
                )
                raise ToolError(ErrorCode.CONFLICT, message, retry_after=1.0)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL)

    async def _resolve(self, call: Call, claim: KeyClaim, held: Held) -> Result | None:
        """Let the tool look for the effect of a call nobody finished; None when another caller is at it already."""
        pool, leases = self._open
        async with _asking(pool) as postgres:
            claim.opening.fence = await take_over(postgres, claim.opening.key, held.fence, self._settings.lease)
        if claim.opening.fence is None:
            return None
        leases.keep(claim)
        try:
            result, step = await claim.conclude(call, lapsed())
        except BaseException:  # cancelled while looking: the lease lapses, and the next caller looks
            leases.forget(claim)
            raise
        here = entry()
        here.written = True
        written = await here.journal.conclude(call, here, result, step)
        return replace(claim.confirmed(result), replayed=True) if written else unrecorded(result)

    @property
    def _open(self) -> tuple[Pool[Any], Leases]:
        if self._pool is None or self._leases is None:
            raise StartupError("plugin_broken", "the idempotency store is not open")
        return self._pool, self._leases


@asynccontextmanager
async def _asking(pool: Pool[Any]) -> AsyncIterator[Connection]:
    """Without Postgres nobody knows what a key says, so the call may not happen; nor does it wait for that for long."""
    writer = entry().journal.writer
    try:
        async with bounded(pool, writer.patience) as connection:
            yield connection
    except (*CONNECTION_ERRORS, TimeoutError):
        raise writer.refusal() from None


_FIELD = {"fields": {"idempotency_key": ["Used with other arguments, or by another user."]}}
