"""One call's claim to its key: what opens it, how a result settles it, and the leases of those that still run."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ..contract import Call, Result
from ..dispatch import answered, new_deadline
from ..errors import ErrorCode, ToolError
from ..storage.bounded import bounded
from .store import Opening, Settled, Settlement, renew
from .stored import pack

if TYPE_CHECKING:
    from asyncpg import Pool

logger = logging.getLogger(__name__)

LONGEST_KEY = 200
RECONCILE_TIMEOUT = 10.0
NOTHING_SENT = frozenset(
    {
        ErrorCode.VALIDATION_ERROR,
        ErrorCode.UNAUTHORIZED,
        ErrorCode.FORBIDDEN,
        ErrorCode.RATE_LIMITED,
        ErrorCode.CONFLICT,
        ErrorCode.NOT_FOUND,
        ErrorCode.UPSTREAM_4XX,
        ErrorCode.DISABLED,
    }
)
"""Codes that say nothing was changed upstream; of any other error nobody knows."""
NOT_ARGUMENTS = ("idempotency_key", "dry_run")


@dataclass(eq=False, slots=True)
class KeyClaim:
    """A claim that is to be written with the intent, and its settlement with the outcome."""

    opening: Opening
    settlement: Settlement | None = field(default=None)

    @property
    def runs(self) -> bool:
        """Whether its lease must be kept: the key is ours, and nobody has been told how it ended."""
        return self.opening.fence is not None and not (self.settlement and self.settlement.applied)

    def withdrawal(self) -> Settlement:
        return self._settle("free")

    async def conclude(self, call: Call, result: Result) -> tuple[Result, Settlement]:
        """How a result settles the key. When it leaves the outcome open, the tool is asked to look for the effect."""
        state = settled_as(result)
        if state == "unknown":
            found = await reconciled(call)
            state, result = ("unknown", _unknown(result)) if found is None else ("done", found)
        self.settlement = self._settle(state, pack(result) if state == "done" else None)
        return result, self.settlement

    def confirmed(self, result: Result) -> Result:
        """The result, unless someone took the key over while we were away: then it is theirs to say what happened."""
        if self.settlement is None or self.settlement.kept or self.settlement.state == "free":
            return result
        return _unknown(result)

    def _settle(self, state: Settled, result: str | None = None) -> Settlement:
        return Settlement(self.opening.key, self.opening.fence or 0, state, result)


class Leases:
    """Keeps the leases of running claims, all in one statement, three times as often as they would lapse."""

    def __init__(self, pool: Pool[Any], lease: float) -> None:
        self._pool = pool
        self._lease = lease
        self._claims: set[KeyClaim] = set()

    def keep(self, claim: KeyClaim) -> None:
        """Until it is settled or forgotten; a claim that is not won yet costs nothing."""
        self._claims.add(claim)

    def forget(self, claim: KeyClaim) -> None:
        self._claims.discard(claim)

    def __len__(self) -> int:
        return sum(claim.runs for claim in self._claims)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name="idempotency leases")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            self._claims = {claim for claim in self._claims if claim.runs or claim.settlement is None}
            holders = [(c.opening.key, c.opening.fence) for c in self._claims if c.opening.fence is not None and c.runs]
            try:
                if holders:
                    async with bounded(self._pool, self._lease / 3) as connection:
                        await renew(connection, holders, self._lease)
            except Exception as error:  # whatever form a lost connection takes, the next round may still be in time
                logger.warning(
                    "the keys of running writes could not be renewed; one whose lease lapses is looked for by the next retry",
                    extra={"error": type(error).__name__, "claims": len(holders)},
                )


def check_key(key: object) -> str:
    """An idempotency key: 1 to 200 visible ASCII characters. Raises `validation_error`."""
    if isinstance(key, str) and 1 <= len(key) <= LONGEST_KEY and all("!" <= character <= "~" for character in key):
        return key
    sentence = f"Must be 1 to {LONGEST_KEY} visible ASCII characters."
    fields = {"fields": {"idempotency_key": [sentence]}}
    raise ToolError(ErrorCode.VALIDATION_ERROR, f"idempotency_key: {sentence}", details=fields)


def fingerprint(arguments: Mapping[str, Any], user: str) -> bytes:
    """SHA-256 of who means what as canonical JSON, without what only concerns the retry.

    A result is for the user whose call made it: another one who uses the same key hears that it is taken.
    """
    meant = {name: value for name, value in arguments.items() if name not in NOT_ARGUMENTS}
    return hashlib.sha256(msgspec.json.encode([user, meant], order="deterministic", enc_hook=str)).digest()


def settled_as(result: Result) -> Settled:
    """`free` where nothing happened, so that a retry may try again."""
    if result.questions:
        return "free"
    if result.error is None:
        return "done"
    return "free" if result.error.code in NOTHING_SENT else "unknown"


async def reconciled(call: Call) -> Result | None:
    """What the tool finds of the effect; None where it has no way to look, fails, or cannot tell."""
    look = call.target.tool.reconcile
    if look is None:
        return None

    async def found(call: Call) -> Result:
        async with asyncio.timeout(RECONCILE_TIMEOUT):
            result: Result | None = await look(call)
        if result is None:
            raise ToolError(ErrorCode.OUTCOME_UNKNOWN, "The effect was not found.")
        call.target.check(msgspec.to_builtins(result.structured))
        return result

    result = await answered(found, replace(call, deadline=new_deadline(RECONCILE_TIMEOUT)))
    return None if result.error is not None else result


def _unknown(result: Result) -> Result:
    message = "Nobody knows whether this write happened. Look before you send it under another key."
    details = {"cause": result.error.code, "message": result.error.message} if result.error else {}
    if result.error is not None and result.error.code == ErrorCode.OUTCOME_UNKNOWN:
        return result
    return Result(error=ToolError(ErrorCode.OUTCOME_UNKNOWN, message, details=details))


def lapsed() -> Result:
    """What is known of a call whose holder is gone."""
    error = ToolError(ErrorCode.NETWORK_ERROR, "The server that ran it did not say how it ended.")
    return _unknown(Result(error=error))
