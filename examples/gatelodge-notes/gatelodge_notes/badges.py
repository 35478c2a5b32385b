"""The plugin `notes_badges`: readers sign in with a badge, `X-Notes-Badge: ann:4f6c…`, that whoever knows the secret makes."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from marshmallow import fields, validate
from prometheus_client.registry import Collector

from gatelodge import (
    LOCAL_TENANT,
    Authenticator,
    Credentials,
    Environment,
    ErrorCode,
    Event,
    Principal,
    Reading,
    Recorder,
    ToolError,
    hookimpl,
    setting,
)

HEADER = "x-notes-badge"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadgeSettings:
    """`secret` of None leaves this way in closed."""

    secret: str | None = setting(
        "GATELODGE_NOTES_BADGE_SECRET",
        fields.String(validate=validate.Length(min=16)),
        default=None,
        help="What badges are made with.",
        secret=True,
    )


class BadgesPlugin:
    """Brings an authenticator, so it is policy."""

    def __init__(self) -> None:
        self._settings = BadgeSettings()
        self._refused = 0

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(BadgeSettings)

    @hookimpl
    def gatelodge_authenticators(self) -> Sequence[Authenticator]:
        if self._settings.secret is None:
            return ()
        return (Authenticator("badge", self.authenticate, order=250),)

    @hookimpl
    def gatelodge_recorders(self) -> Sequence[Recorder]:
        return (self.note,)

    @hookimpl
    def gatelodge_metrics(self) -> Sequence[Collector]:
        return (Reading("notes_badges_refused_total", "Messages that nobody signed in for.", lambda: self._refused),)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        shown = credentials.headers.get(HEADER)
        if shown is None or self._settings.secret is None:
            return None
        user, _, mark = shown.partition(":")
        if not hmac.compare_digest(mark.encode(), badge(self._settings.secret, user).encode()):
            raise ToolError(ErrorCode.UNAUTHORIZED, "This badge was not made here.")
        return Principal(
            tenant=LOCAL_TENANT,
            user=user,
            method="badge",
            scopes=frozenset({"notes:read"}),
            address=credentials.address,
        )

    def note(self, event: Event) -> None:
        self._refused += event.action == "authentication"


def badge(secret: str, user: str) -> str:
    """The second half of a user's badge."""
    return hmac.digest(secret.encode(), user.encode(), "sha256").hex()
