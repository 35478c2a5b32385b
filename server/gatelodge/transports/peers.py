"""Who is at the other end of a connection, and for whom a proxy speaks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from aiohttp import web

WITH_PORT = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::\d{1,5})?|(?P<four>[0-9.]+):\d{1,5}")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(request: web.Request, trusted: Sequence[Network]) -> tuple[str | None, bool]:
    """The client's address and whether the peer may speak for others.

    `X-Forwarded-For` is read from the right, past trusted proxies, so a client cannot set its own address.
    """
    peer = request.remote
    if peer is None or not within(peer, trusted):
        return peer, False
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    for hop in (_without_port(hop.strip()) for hop in reversed(hops) if hop.strip()):
        if not _is_address(hop):
            break
        if not within(hop, trusted):
            return hop, True
    return peer, True


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks; on a socket of both families an IPv4 one comes as `::ffff:…`."""
    if not networks or not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)


def _without_port(hop: str) -> str:
    """`192.0.2.1:443` and `[2001:db8::1]:443` are what some proxies write, though an address alone is meant."""
    found = WITH_PORT.fullmatch(hop)
    return (found["six"] or found["four"]) if found else hop


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """The name in a Host header, without its port and in lower case."""
    return (host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host).strip("[]").lower()
