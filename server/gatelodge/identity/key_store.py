"""The `api_keys` table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..audit.once import by_operator, record
from ..errors import ErrorCode, ToolError
from ..webhooks.message import Message
from ..webhooks.outbox import write
from .keys import ApiKey, fingerprint, new_key

if TYPE_CHECKING:
    from asyncpg import Pool, Record

    from ..storage.postgres import Connection

CHANNEL = "gatelodge_api_keys"


class KeyStore:
    """Keys as they are stored. `create` and `rotate` answer the whole key, which nobody can read afterwards.

    Each key that is made, rotated or revoked is written down, as done by `by`, and operators are told of it.
    """

    def __init__(self, pool: Pool[Any], *, by: str | None = None) -> None:
        self._pool = pool
        self._by = by

    async def create(
        self,
        *,
        tenant: UUID,
        user: str,
        scopes: frozenset[str],
        expires_at: datetime | None = None,
        tools: tuple[str, ...] | None = None,
        resources: tuple[str, ...] | None = None,
        prompts: tuple[str, ...] | None = None,
    ) -> tuple[str, str]:
        """The id and the key."""
        key_id, shown = new_key()
        about = {"id": key_id, "tenant": tenant, "user": user, "scopes": sorted(scopes), "expires_at": expires_at}
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO api_keys (id, tenant_id, user_id, hash, scopes, tools, resources, prompts, expires_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                key_id,
                tenant,
                user,
                fingerprint(shown),
                sorted(scopes),
                tools,
                resources,
                prompts,
                expires_at,
            )
            await self._tell(connection, "key.created", f"API key {key_id} was created.", about)
        return key_id, shown

    async def rotate(self, old_id: str, *, overlap: timedelta) -> tuple[str, str]:
        """A new key with the rights of the old one, which lives on for `overlap`. Raises `not_found`, `conflict`."""
        key_id, shown = new_key()
        async with self._pool.acquire() as connection, connection.transaction():
            found = await connection.fetchrow(
                "SELECT tenant_id, user_id, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS lives"
                " FROM api_keys WHERE id = $1 FOR UPDATE",
                old_id,
            )
            if found is None:
                raise _unknown(old_id)
            if not found["lives"]:
                raise ToolError(ErrorCode.CONFLICT, f"Key {old_id} is revoked or expired; create a new one.")
            await connection.execute(
                "INSERT INTO api_keys (id, tenant_id, user_id, hash, scopes, tools, resources, prompts, expires_at,"
                " rotated_from) SELECT $2, tenant_id, user_id, $3, scopes, tools, resources, prompts,"
                " now() + (expires_at - created_at), id FROM api_keys WHERE id = $1",
                old_id,
                key_id,
                fingerprint(shown),
            )
            ends = await connection.fetchval(
                "UPDATE api_keys SET expires_at = least(expires_at, now() + $2) WHERE id = $1 RETURNING expires_at",
                old_id,
                overlap,
            )
            about = {"id": key_id, "tenant": found["tenant_id"], "user": found["user_id"]}
            about |= {"rotated_from": old_id, "old_expires_at": ends}
            text = f"API key {old_id} was rotated to {key_id}; the old one is good until {ends:%Y-%m-%d %H:%M} UTC."
            await self._tell(connection, "key.rotated", text, about)
        return key_id, shown

    async def revoke(self, key_id: str) -> None:
        """From now on, on every replica. Raises `not_found`; revoking twice is no error."""
        async with self._pool.acquire() as connection, connection.transaction():
            found = await connection.fetchrow(
                "SELECT tenant_id, user_id, revoked_at FROM api_keys WHERE id = $1 FOR UPDATE", key_id
            )
            if found is None:
                raise _unknown(key_id)
            if found["revoked_at"] is not None:
                return
            await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id)
            about = {"id": key_id, "tenant": found["tenant_id"], "user": found["user_id"]}
            await self._tell(connection, "key.revoked", f"API key {key_id} was revoked.", about)

    async def all(self, tenant: UUID | None = None) -> list[ApiKey]:
        """All keys, oldest first, the dead ones too."""
        rows = await self._pool.fetch(
            "SELECT * FROM api_keys WHERE $1::uuid IS NULL OR tenant_id = $1 ORDER BY created_at, id", tenant
        )
        return [_key(row) for row in rows]

    async def changed_since(self, moment: datetime | None) -> tuple[list[ApiKey], datetime]:
        """Keys changed at that time or later, or all living ones, and the database's time of this answer."""
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            now = await connection.fetchval("SELECT now()")
            condition = "changed_at >= $1" if moment else "revoked_at IS NULL AND $1::timestamptz IS NULL"
            rows = await connection.fetch(f"SELECT * FROM api_keys WHERE {condition}", moment)
        return [_key(row) for row in rows], now

    async def find(self, ids: frozenset[str]) -> list[ApiKey]:
        return [_key(row) for row in await self._pool.fetch("SELECT * FROM api_keys WHERE id = ANY($1)", list(ids))]

    async def record_use(self, used: Mapping[str, datetime]) -> None:
        """Write down when keys were last used; an older time never replaces a newer one."""
        await self._pool.execute(
            "UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)"
            " FROM unnest($1::text[], $2::timestamptz[]) AS used (id, at) WHERE api_keys.id = used.id",
            list(used),
            list(used.values()),
        )

    async def _tell(self, connection: Connection, what: str, text: str, about: Mapping[str, Any]) -> None:
        """In the same transaction: whoever may do it, it is not done unseen."""
        await record(connection, by_operator(what, self._by, about["tenant"], key=dict(about)))
        await write(connection, Message(type=what, text=text, data=about))


def _key(row: Record) -> ApiKey:
    return ApiKey(
        id=row["id"],
        tenant=row["tenant_id"],
        user=row["user_id"],
        hash=row["hash"],
        scopes=frozenset(row["scopes"]),
        tools=_tuple(row["tools"]),
        resources=_tuple(row["resources"]),
        prompts=_tuple(row["prompts"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        rotated_from=row["rotated_from"],
    )


def _tuple(items: list[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)


def _unknown(key_id: str) -> ToolError:
    return ToolError(ErrorCode.NOT_FOUND, f"There is no key {key_id!r}")
