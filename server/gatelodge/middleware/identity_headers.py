"""`X-Tenant-ID` and `X-User-ID`, believed only from a trusted proxy or from this machine itself.

Whoever runs such a proxy must strip these headers from what comes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from marshmallow import fields

from ..contract import Authenticator, Credentials, Principal
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..settings import CommaSeparated, Environment, setting
from .jwt import JwtSettings
from .shared_key import SharedKeySettings

METHOD = "identity_headers"
TENANT, USER = "x-tenant-id", "x-user-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaderSettings:
    """Unless told, the headers count only where nothing stronger is set up that they would be a way around."""

    believed: bool | None = setting(
        "GATELODGE_IDENTITY_HEADERS",
        fields.Boolean(),
        default=None,
        help="Believe X-Tenant-ID and X-User-ID of trusted peers; by default while neither JWT nor MCP_API_KEY is set.",
    )
    scopes: tuple[str, ...] = setting(
        "GATELODGE_IDENTITY_SCOPES", CommaSeparated(), default=("*:write",), help="Scopes of who is named by headers."
    )


class IdentityHeadersPlugin:
    def __init__(self) -> None:
        self._settings = IdentityHeaderSettings()
        self._believed = False

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = settings = environment.read(IdentityHeaderSettings)
        stronger = environment.read(JwtSettings).issuer or environment.read(SharedKeySettings).key
        self._believed = not stronger if settings.believed is None else settings.believed

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        return (Authenticator(METHOD, self.authenticate, order=400, strong=False),) if self._believed else ()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        headers = credentials.headers
        if (TENANT not in headers and USER not in headers) or "authorization" in headers or "x-api-key" in headers:
            return None
        if not (credentials.trusted_peer or credentials.from_this_machine):
            return None
        return Principal(
            tenant=_tenant(headers.get(TENANT, "")),
            user=_user(headers.get(USER, "")),
            method=METHOD,
            scopes=frozenset(self._settings.scopes),
            address=credentials.address,
        )


def _tenant(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ToolError(ErrorCode.UNAUTHORIZED, "X-Tenant-ID must be a UUID.") from None


def _user(text: str) -> str:
    if not 0 < len(text) <= 255 or not text.isprintable():
        raise ToolError(ErrorCode.UNAUTHORIZED, "X-User-ID must be 1 to 255 printable characters.")
    return text
