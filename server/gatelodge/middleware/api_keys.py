"""API keys, as `Authorization: Bearer glk_…` or `X-API-Key: glk_…`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ..contract import Authenticator, Credentials, Principal
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..identity.key_ring import KeyRing
from ..identity.key_store import KeyStore
from ..identity.keys import PREFIX, ApiKey
from ..storage import Storage

METHOD = "api_key"


class ApiKeyPlugin:
    """Strong once there is a key: a public listener may start on keys alone, but not on their absence."""

    def __init__(self) -> None:
        self._ring: KeyRing | None = None

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        return (Authenticator(METHOD, self.authenticate, order=200, strong=self._has_keys, ended=self._ended),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._ring = KeyRing(KeyStore(storage.postgres))
        async with self._ring.following(storage.changes):
            yield

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        shown = credentials.secret
        if shown is None or not shown.startswith(PREFIX) or self._ring is None:
            return None
        key = self._ring.find(shown)
        if key is None:
            raise ToolError(ErrorCode.UNAUTHORIZED, "This API key is unknown, expired or revoked.")
        return _principal(key, credentials.address)

    def _has_keys(self) -> bool:
        return bool(self._ring)

    async def _ended(self, principal: Principal) -> None:
        if self._ring is not None and principal.key_id is not None:
            await self._ring.ended(principal.key_id)


def _principal(key: ApiKey, address: str | None) -> Principal:
    return Principal(
        tenant=key.tenant,
        user=key.user,
        method=METHOD,
        scopes=key.scopes,
        key_id=key.id,
        address=address,
        tools=key.tools,
        resources=key.resources,
        prompts=key.prompts,
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
    )
