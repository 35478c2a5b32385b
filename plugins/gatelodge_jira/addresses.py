"""Which addresses an instance added by a tenant may have: none that lead into the operator's own network."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from gatelodge import ToolError

from .failure import invalid

NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PublicResolver(AbstractResolver):
    """Resolves a name at each connect, and refuses it when any of its addresses is private: names change."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(item["host"]) for item in found):
            raise OSError(None, "the name leads to a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def refuse_private(url: str) -> None:
    """Raise `validation_error` for a URL without https, with a user in it, or with a private address literal."""
    target = URL(url)
    if target.scheme != "https" or target.user is not None or target.host is None:
        raise invalid("url", "It must be an https:// address without a user in it.")
    if not _may_be_public(target.host):
        raise private()


def private() -> ToolError:
    return invalid("url", "It leads to a private address, which only the operator may set, by JIRA_URL.")


def is_public(address: str) -> bool:
    """Whether the address is a global unicast one, seen through IPv4-mapped, 6to4 and NAT64 forms."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _may_be_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:  # a name: it is judged whenever it is resolved
        return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))
