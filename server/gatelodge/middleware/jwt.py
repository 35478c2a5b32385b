"""JWT bearer tokens of one issuer, checked with its published keys."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from uuid import UUID

from joserfc.jwt import JWTClaimsRegistry
from marshmallow import fields, validate

from ..contract import Authenticator, Credentials, Principal
from ..errors import StartupError
from ..hookspecs import hookimpl
from ..identity.jwks import IssuerKeys
from ..identity.tokens import Bearer, ClaimNames, bearer, fits, read_claims, read_header, refused
from ..settings import CommaSeparated, Environment, setting
from ..storage import Storage

METHOD = "jwt"
REMEMBERED = 4096
URL = fields.Url(require_tld=False, schemes={"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """`issuer` of None leaves this way in closed. `jwks_url` of None is found in the issuer's metadata."""

    issuer: str | None = setting("GATELODGE_JWT_ISSUER", URL, default=None, help="Issuer (iss) whose tokens are taken.")
    audience: tuple[str, ...] = setting(
        "GATELODGE_JWT_AUDIENCE", CommaSeparated(), default=(), help="What a token's aud must hold one of."
    )
    jwks_url: str | None = setting("GATELODGE_JWT_JWKS_URL", URL, default=None, help="Where the issuer's keys are.")
    tenant_claim: str = setting(
        "GATELODGE_JWT_TENANT_CLAIM", fields.String(), default="tenant_id", help="Claim with the tenant's UUID."
    )
    tenant: UUID | None = setting(
        "GATELODGE_JWT_TENANT", fields.UUID(), default=None, help="Tenant of every token, in place of a claim."
    )
    user_claim: str = setting("GATELODGE_JWT_USER_CLAIM", fields.String(), default="sub", help="Claim with the user.")
    scope_claims: tuple[str, ...] = setting(
        "GATELODGE_JWT_SCOPE_CLAIMS", CommaSeparated(), default=("scope", "scp"), help="Claims with scopes."
    )
    leeway: int = setting(
        "GATELODGE_JWT_LEEWAY",
        fields.Integer(validate=validate.Range(min=0, max=300)),
        default=30,
        help="Seconds that clocks may differ.",
    )
    ttl: float = setting(
        "GATELODGE_JWT_JWKS_TTL",
        fields.Float(validate=validate.Range(min=1)),
        default=600.0,
        help="Seconds after which the issuer's keys are read again.",
    )
    cooldown: float = setting(
        "GATELODGE_JWT_JWKS_COOLDOWN",
        fields.Float(validate=validate.Range(min=0)),
        default=30.0,
        help="Seconds between two readings that unknown keys may cause.",
    )


class JwtPlugin:
    """Checked tokens are remembered by their hash until they expire, or the issuer's keys change."""

    def __init__(self) -> None:
        self._settings = JwtSettings()
        self._keys: IssuerKeys | None = None
        self._checked: OrderedDict[bytes, Bearer] = OrderedDict()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = settings = environment.read(JwtSettings)
        if settings.issuer is None:
            return
        if not settings.audience:
            raise StartupError("setting_invalid", "GATELODGE_JWT_ISSUER needs GATELODGE_JWT_AUDIENCE beside it")
        self._keys = IssuerKeys(
            settings.issuer,
            settings.jwks_url,
            ttl=settings.ttl,
            cooldown=settings.cooldown,
            changed=self._checked.clear,
        )
        self._names = ClaimNames(
            tenant=settings.tenant_claim,
            user=settings.user_claim,
            scopes=settings.scope_claims,
            fixed_tenant=settings.tenant,
        )
        self._registry = JWTClaimsRegistry(
            leeway=settings.leeway,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "values": list(settings.audience)},
            exp={"essential": True},
        )

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        issuer = self._settings.issuer
        if issuer is None:
            return ()
        return (Authenticator(METHOD, self.authenticate, order=100, authorization_servers=(issuer,)),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        async with self._keys.following() if self._keys else nullcontext():
            yield

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        token = credentials.secret
        if token is None or token.count(".") != 2 or "authorization" not in credentials.headers:
            return None
        found = await self._bearer(token)
        return Principal(
            tenant=found.tenant,
            user=found.user,
            method=METHOD,
            scopes=found.scopes,
            address=credentials.address,
            expires_at=found.expires_at,
        )

    async def _bearer(self, token: str) -> Bearer:
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        known = self._checked.get(digest)
        if known is not None and time.time() < known.expires_at:
            return known
        checked = self._checked[digest] = await self._check(token)
        if len(self._checked) > REMEMBERED:
            self._checked.popitem(last=False)
        return checked

    async def _check(self, token: str) -> Bearer:
        assert self._keys is not None
        kid, algorithm = read_header(token)
        key = await self._keys.find(kid, lambda key: fits(key, algorithm))
        if key is None:
            raise refused("The token is signed with a key its issuer does not publish.")
        return bearer(read_claims(token, key, algorithm, self._registry), self._names)
