"""Which addresses are this machine's own."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether an address, or the name `localhost`, stays on this machine."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host == "localhost"
    plain = getattr(address, "ipv4_mapped", None) or address  # of a socket that takes both families
    return bool(plain.is_loopback)
