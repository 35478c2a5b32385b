"""The table of keys: claimed, kept by a lease, settled by whoever still holds the fence. Time is Postgres's alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from asyncpg import Pool

    from ..storage.postgres import Connection

State = Literal["claimed", "done", "unknown"]
Settled = Literal["done", "unknown", "free"]

KEYS = "unnest($1::uuid[], $2::text[], $3::text[]"
SAME = "k.tenant_id = g.tenant_id AND k.tool = g.tool AND k.key = g.key"

# A key whose memory has run out may be claimed anew, but never one whose outcome nobody knows.
CLAIM = f"""
INSERT INTO idempotency_keys AS k (tenant_id, tool, key, fingerprint, request_id, lease_until, expires_at)
SELECT g.*, clock_timestamp() + $6 * interval '1 second', clock_timestamp() + $7 * interval '1 second'
FROM {KEYS}, $4::bytea[], $5::text[]) AS g (tenant_id, tool, key, fingerprint, request_id)
ON CONFLICT (tenant_id, tool, key) DO UPDATE
SET fingerprint = excluded.fingerprint, state = 'claimed', fence = excluded.fence, lease_until = excluded.lease_until,
    created_at = clock_timestamp(), expires_at = excluded.expires_at, result = NULL, request_id = excluded.request_id
WHERE k.state = 'done' AND k.expires_at <= now()
RETURNING tenant_id, tool, key, fence"""
LOOK = f"""
SELECT tenant_id, tool, key, fingerprint, state, fence, lease_until <= clock_timestamp() AS lapsed,
       extract(epoch FROM lease_until - clock_timestamp())::float8 AS left, result::text AS result
FROM idempotency_keys AS k JOIN {KEYS}) AS g (tenant_id, tool, key) USING (tenant_id, tool, key)"""
RENEW = f"""
UPDATE idempotency_keys AS k SET lease_until = clock_timestamp() + $5 * interval '1 second'
FROM (SELECT k.tenant_id, k.tool, k.key FROM idempotency_keys AS k
      JOIN {KEYS}, $4::int8[]) AS g (tenant_id, tool, key, fence) ON {SAME} AND k.fence = g.fence
      WHERE k.state = 'claimed' FOR UPDATE OF k SKIP LOCKED) AS g
WHERE {SAME}"""
TAKE_OVER = """
UPDATE idempotency_keys SET state = 'claimed', fence = nextval('idempotency_fences'),
       lease_until = clock_timestamp() + $5 * interval '1 second'
WHERE tenant_id = $1 AND tool = $2 AND key = $3 AND fence = $4
  AND (state = 'unknown' OR state = 'claimed' AND lease_until <= clock_timestamp())
RETURNING fence"""
# A result is kept for its time from the moment there is one.
SETTLE = f"""
UPDATE idempotency_keys AS k SET state = g.state, result = g.result::json,
       expires_at = clock_timestamp() + (k.expires_at - k.created_at)
FROM {KEYS}, $4::int8[], $5::text[], $6::text[]) AS g (tenant_id, tool, key, fence, state, result)
WHERE {SAME} AND k.fence = g.fence RETURNING k.tenant_id, k.tool, k.key, k.fence"""
FREE = f"""
DELETE FROM idempotency_keys AS k USING {KEYS}, $4::int8[]) AS g (tenant_id, tool, key, fence)
WHERE {SAME} AND k.fence = g.fence RETURNING k.tenant_id, k.tool, k.key, k.fence"""
LIST = """
SELECT tenant_id AS tenant, tool, key, state, fence, request_id, created_at, lease_until, expires_at
FROM idempotency_keys
WHERE ($2::uuid IS NULL OR tenant_id = $2)
  AND CASE $1 WHEN 'unknown' THEN state = 'unknown' OR state = 'claimed' AND lease_until <= clock_timestamp()
              WHEN 'claimed' THEN state = 'claimed' AND lease_until > clock_timestamp() ELSE state = $1 END
ORDER BY created_at LIMIT $3"""
EXPIRE = "DELETE FROM idempotency_keys WHERE state = 'done' AND expires_at <= now()"


class Key(NamedTuple):
    """What a key is unique within: its tenant and the tool's own name."""

    tenant: UUID
    tool: str
    key: str


@dataclass(frozen=True, slots=True)
class Held:
    """What a key that is taken says. `lapsed`: its holder has not renewed the lease, of which `left` seconds remain."""

    fingerprint: bytes
    state: State
    fence: int
    lapsed: bool
    left: float
    result: str | None

    @property
    def uncertain(self) -> bool:
        """Whether nobody who is still there knows what became of the call."""
        return self.state == "unknown" or (self.state == "claimed" and self.lapsed)


@dataclass(eq=False, slots=True)
class Opening:
    """The step that claims a key. Then it has a `fence`, or the key was `held`, or neither: it is free again by now."""

    key: Key
    fingerprint: bytes
    request_id: str
    lease: float
    memory: float
    fence: int | None = None
    held: Held | None = None

    @staticmethod
    async def apply(connection: Connection, steps: Sequence[Opening]) -> Sequence[bool]:
        """Claim what is free. Of two claims to one key in a batch the first may have it."""
        for step in steps:
            step.fence = step.held = None
        first = {step.key: step for step in reversed(steps)}
        for row in await connection.fetch(CLAIM, *_claims(first.values())):
            first[Key(row["tenant_id"], row["tool"], row["key"])].fence = row["fence"]
        losers = [step for step in steps if step.fence is None]
        if losers:
            held = await look(connection, {step.key for step in losers})
            for step in losers:
                step.held = held.get(step.key)
        return [step.fence is not None for step in steps]


@dataclass(eq=False, slots=True)
class Settlement:
    """The step that ends a claim. Once it is `applied`, `kept` says whether the fence was still ours."""

    key: Key
    fence: int
    state: Settled
    result: str | None = None
    kept: bool = False
    applied: bool = False

    @staticmethod
    async def apply(connection: Connection, steps: Sequence[Settlement]) -> Sequence[bool]:
        settled = [step for step in steps if step.state != "free"]
        free = [step for step in steps if step.state == "free"]
        kept: set[tuple[Any, ...]] = set()
        if settled:
            columns = _columns((*step.key, step.fence, step.state, step.result) for step in settled)
            kept |= {tuple(row) for row in await connection.fetch(SETTLE, *columns)}
        if free:
            columns = _columns((*step.key, step.fence) for step in free)
            kept |= {tuple(row) for row in await connection.fetch(FREE, *columns)}
        for step in steps:
            step.kept = (*step.key, step.fence) in kept
            step.applied = True
        return [True] * len(steps)


async def look(connection: Connection | Pool[Any], keys: Iterable[Key]) -> dict[Key, Held]:
    """What the keys that are taken say."""
    found = await connection.fetch(LOOK, *_columns(keys))
    return {
        Key(row["tenant_id"], row["tool"], row["key"]): Held(
            row["fingerprint"], row["state"], row["fence"], row["lapsed"], row["left"], row["result"]
        )
        for row in found
    }


async def take_over(connection: Connection, key: Key, fence: int, lease: float) -> int | None:
    """Become the holder of a key whose outcome is unknown: the new fence, or None when someone else was faster."""
    fence_now: int | None = await connection.fetchval(TAKE_OVER, *key, fence, lease)
    return fence_now


async def renew(connection: Connection, holders: Iterable[tuple[Key, int]], lease: float) -> None:
    """Lengthen the leases of these keys and fences; those being settled at this moment are passed over."""
    await connection.execute(RENEW, *_columns((*key, fence) for key, fence in holders), lease)


async def expire(connection: Connection | Pool[Any]) -> int:
    """Forget results whose time is over; answers how many. What is unknown stays until someone settles it."""
    return int((await connection.execute(EXPIRE)).split()[-1])


async def listed(pool: Pool[Any], state: State, tenant: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Keys for an operator, oldest first. A claim whose lease has lapsed counts as unknown."""
    return [dict(row) for row in await pool.fetch(LIST, state, tenant, limit)]


def _claims(steps: Iterable[Opening]) -> list[Any]:
    steps = list(steps)
    columns = _columns((*step.key, step.fingerprint, step.request_id) for step in steps)
    return [*columns, steps[0].lease, steps[0].memory]


def _columns(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))
