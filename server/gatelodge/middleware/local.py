"""On a laptop, a caller without credentials on loopback is the local user of the local tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marshmallow import fields

from ..contract import LOCAL_TENANT, Authenticator, Credentials, Principal
from ..hookspecs import hookimpl
from ..identity.addresses import is_loopback
from ..settings import Environment, setting
from ..storage.opening import StorageSettings

METHOD = "local"
SCOPES = frozenset({"admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUserSettings:
    """On a public address there is no local user, whatever is set."""

    wanted: bool | None = setting(
        "GATELODGE_LOCAL_USER",
        fields.Boolean(),
        default=None,
        help="Let callers on this machine in without credentials; by default only with the embedded Postgres.",
    )
    host: str = setting("GATELODGE_HOST", fields.String(), default="127.0.0.1", help="Address to listen on.")


class LocalUserPlugin:
    """The last authenticator asked. It is weak: a listener on a public address does not start on it alone."""

    def __init__(self) -> None:
        self._allowed = False

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        settings = environment.read(LocalUserSettings)
        wanted = environment.read(StorageSettings).embedded if settings.wanted is None else settings.wanted
        self._allowed = wanted and is_loopback(settings.host)

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        return (Authenticator(METHOD, authenticate, order=1000, strong=False),) if self._allowed else ()


async def authenticate(credentials: Credentials) -> Principal | None:
    shown = "authorization" in credentials.headers or "x-api-key" in credentials.headers
    if shown or not credentials.from_this_machine:
        return None
    return Principal(
        tenant=LOCAL_TENANT, user="local", method=METHOD, scopes=SCOPES, address=credentials.address or "127.0.0.1"
    )
