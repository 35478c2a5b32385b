"""On a laptop, a caller without credentials on loopback is the local user of the local tenant."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ..contract import LOCAL_TENANT, Authenticator, Credentials, Principal
from ..hookspecs import hookimpl

SCOPES = frozenset({"admin"})


class LocalUserPlugin:
    """The last authenticator asked. It is weak: a listener on a public address does not start on it alone."""

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        return (Authenticator("local", authenticate, order=1000, strong=False),)


async def authenticate(credentials: Credentials) -> Principal | None:
    if not _is_local(credentials) or "authorization" in credentials.headers or "x-api-key" in credentials.headers:
        return None
    return Principal(
        tenant=LOCAL_TENANT, user="local", method="local", scopes=SCOPES, address=credentials.address or "127.0.0.1"
    )


def _is_local(credentials: Credentials) -> bool:
    """stdio, or a loopback peer that no proxy speaks for."""
    if credentials.door == "stdio":
        return True
    forwarded = "x-forwarded-for" in credentials.headers or "forwarded" in credentials.headers
    return not forwarded and credentials.address is not None and ipaddress.ip_address(credentials.address).is_loopback
