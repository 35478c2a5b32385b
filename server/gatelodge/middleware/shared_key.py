"""`MCP_API_KEY`: one key for a small installation, which makes its holder one user of one tenant."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from marshmallow import fields, validate

from ..contract import LOCAL_TENANT, Authenticator, Credentials, Principal
from ..hookspecs import hookimpl
from ..settings import CommaSeparated, Environment, setting

METHOD = "shared_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKeySettings:
    """`key` of None leaves this way in closed."""

    key: str | None = setting(
        "MCP_API_KEY",
        fields.String(validate=validate.Length(min=16)),
        default=None,
        help="One key for all callers, of at least 16 characters.",
        secret=True,
    )
    tenant: UUID = setting(
        "MCP_API_KEY_TENANT", fields.UUID(), default=LOCAL_TENANT, help="Tenant of who shows MCP_API_KEY."
    )
    scopes: tuple[str, ...] = setting(
        "MCP_API_KEY_SCOPES", CommaSeparated(), default=("*:write",), help="Scopes of who shows MCP_API_KEY."
    )


class SharedKeyPlugin:
    def __init__(self) -> None:
        self._settings = SharedKeySettings()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(SharedKeySettings)

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        return () if self._settings.key is None else (Authenticator(METHOD, self.authenticate, order=300),)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        shown, key = credentials.secret, self._settings.key
        if shown is None or key is None or not hmac.compare_digest(_bytes(shown), _bytes(key)):
            return None
        return Principal(
            tenant=self._settings.tenant,
            user="shared-key",
            method=METHOD,
            scopes=frozenset(self._settings.scopes),
            address=credentials.address,
        )


def _bytes(text: str) -> bytes:
    """Of a header too, whose bytes may be no UTF-8."""
    return text.encode(errors="surrogateescape")
