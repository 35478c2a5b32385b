"""What must be equal for one answer to do for two calls: tenant, caller, rights, tool and arguments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

import msgspec

from ..contract import Call, Principal

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Scope:
    """One plugin's entries for one tenant: what a write to that plugin makes stale. `prefix` hides the tenant's id."""

    tenant: UUID
    plugin: str

    @property
    def prefix(self) -> str:
        return f"gatelodge:cache:{{{_tag(self.tenant)}}}:{self.plugin}"


def scope_of(call: Call) -> Scope:
    return Scope(call.principal.tenant, call.owner)


def entry_key(call: Call) -> str | None:
    """The hash of all that the answer depends on, or None for arguments that no JSON can hold."""
    try:
        arguments = _encode([call.name, _rights(call.principal), call.arguments])
    except (TypeError, ValueError, OverflowError, RecursionError):  # whatever a schema's own field types may be
        return None
    return blake2b(arguments, key=call.principal.tenant.bytes, digest_size=20).hexdigest()


def _rights(who: Principal) -> list[object]:
    """Whatever may change what a tool shows: databases and Jira may answer each user differently."""
    return [who.user, sorted(who.scopes), who.tools, who.resources, who.prompts]


@lru_cache(maxsize=4096)
def _tag(tenant: UUID) -> str:
    return blake2b(tenant.bytes, digest_size=10).hexdigest()
