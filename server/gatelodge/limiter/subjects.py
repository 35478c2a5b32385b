"""Whom a limit counts, under keys that name nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from uuid import UUID

from ..contract import Call


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str | None:
    """Whose address it is: an IPv4 one itself, of IPv6 the /64, all of which one host may call from."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return address
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(parsed if parsed.version == 4 else ip_network((parsed, 64), strict=False))


SUBJECTS: Mapping[str, Callable[[Call], str | None]] = {
    "address": lambda call: network_of(call.principal.address),
    "user": lambda call: call.principal.user,
    "tenant": lambda call: "",
    "instance": lambda call: str(call.arguments.get("instance_id") or "default") if _takes_instance(call) else None,
    "tool": lambda call: call.name if call.kind == "tool" else None,
}
"""What each kind of policy counts by, always inside one tenant; None where it has nothing to count.

A target that tells which instances a call may reach is asked instead.
"""


@lru_cache(maxsize=4096)
def key(tenant: UUID, policy: str, subject: str) -> str:
    """One hash tag a tenant, so that a cluster holds its buckets together. The tenant is the salt of what it hides."""
    tag = blake2b(tenant.bytes, digest_size=10).hexdigest()
    name = blake2b(subject.encode("utf-8", "surrogatepass"), key=tenant.bytes, digest_size=10).hexdigest()
    return f"gatelodge:rate:{{{tag}}}:{policy}:{name}"


def _takes_instance(call: Call) -> bool:
    return call.kind == "tool" and "instance_id" in call.target.input_schema.get("properties", {})
