"""Definitions of tools, pinned at first sight: a tool that changes under the model's feet is not what was agreed to.

The threat is a plugin's update that turns a known tool's description into instructions ("rug pull").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from ..audit.once import by_operator, record
from ..contract import Event
from ..dispatch import CompiledTool
from ..webhooks.message import Message
from ..webhooks.outbox import write

if TYPE_CHECKING:
    from asyncpg import Pool

CHANNEL = "gatelodge_tool_pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A definition that waits for approval; `approved` is the newest one that was, or None."""

    name: str
    definition: Mapping[str, Any]
    approved: Mapping[str, Any] | None

    @property
    def changed(self) -> list[str]:
        """The members that differ."""
        before = self.approved or {}
        return sorted(key for key in {*before, *self.definition} if before.get(key) != self.definition.get(key))


def definition(compiled: CompiledTool) -> dict[str, Any]:
    """What a model gets to see of a tool."""
    tool = compiled.tool
    seen = {
        "title": tool.title,
        "description": tool.description,
        "inputSchema": compiled.input_schema,
        "outputSchema": compiled.output_schema,
        "annotations": tool.annotations,
    }
    plain: dict[str, Any] = msgspec.to_builtins(seen)
    return plain


def fingerprint(seen: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(seen, order="deterministic")).hexdigest()


class PinStore:
    """The `tool_pins` table. Several definitions of one tool may be approved: replicas are updated one by one."""

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool

    async def see(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Note definitions by the tools' names. The first ever of a name is approved, a later one waits.

        Operators are told of one that waits when it is seen for the first time, by whichever replica.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('tool_pins'))")
            noted = await connection.fetchmany(
                "INSERT INTO tool_pins (name, hash, definition, approved_at, approved_by)"
                " SELECT $1, $2, $3, CASE WHEN NOT known THEN now() END, CASE WHEN NOT known THEN 'first sight' END"
                " FROM (SELECT EXISTS (SELECT FROM tool_pins WHERE name = $1) AS known) AS pin ON CONFLICT DO NOTHING"
                " RETURNING name, approved_at",
                [(name, fingerprint(seen), seen) for name, seen in definitions.items()],
            )
            for row in noted:
                if row["approved_at"] is None:
                    await record(connection, _seen_changed(row["name"]))
                    await write(connection, _quarantined(row["name"]))

    async def approved(self) -> frozenset[tuple[str, str]]:
        """Names and fingerprints."""
        rows = await self._pool.fetch("SELECT name, hash FROM tool_pins WHERE approved_at IS NOT NULL")
        return frozenset((row["name"], row["hash"]) for row in rows)

    async def approve(self, names: Iterable[str] | None, *, by: str) -> list[str]:
        """Approve what waits under these names, or all of it. Answers the names that had something waiting."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "UPDATE tool_pins SET approved_at = now(), approved_by = $2"
                " WHERE approved_at IS NULL AND ($1::text[] IS NULL OR name = ANY($1)) RETURNING name, hash",
                None if names is None else list(names),
                by,
            )
            for row in rows:
                await record(connection, by_operator("tool.approved", by, tool=row["name"], hash=row["hash"]))
        return sorted({row["name"] for row in rows})

    async def pending(self) -> list[Pending]:
        rows = await self._pool.fetch(
            "SELECT name, definition, (SELECT old.definition FROM tool_pins AS old WHERE old.name = new.name"
            " AND old.approved_at IS NOT NULL ORDER BY old.approved_at DESC LIMIT 1) AS approved"
            " FROM tool_pins AS new WHERE approved_at IS NULL ORDER BY name, first_seen_at"
        )
        return [Pending(name=row["name"], definition=row["definition"], approved=row["approved"]) for row in rows]


def _seen_changed(name: str) -> Event:
    return Event(action="tool.quarantined", outcome="ok", request_id=uuid4().hex, detail={"tool": name})


def _quarantined(name: str) -> Message:
    text = f"{name} is in quarantine: its definition changed. See: gatelodge tools pending"
    return Message(type="tool.quarantined", text=text, data={"tool": name})
