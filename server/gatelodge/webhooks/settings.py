"""Where messages go, and what signs them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields

from ..settings import setting

PREFIX = "whsec_"


class SigningSecret(fields.String):
    """`whsec_` and base64 of 24 to 64 bytes. Source: Standard Webhooks, "Signature scheme"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        secret = str(super()._deserialize(value, attr, data))
        try:
            length = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
        except binascii.Error:
            length = 0
        if not secret.startswith(PREFIX) or not 24 <= length <= 64:
            raise ValidationError("Must be whsec_ and base64 of 24 to 64 random bytes.")
        return secret


def receiver() -> fields.Url:
    """An address of the operator's choice, inside their network too."""
    return fields.Url(require_tld=False, schemes={"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """The URL counts as a secret: who knows that of a chat service's hook may post to it."""

    url: str | None = setting(
        "GATELODGE_WEBHOOK_URL",
        receiver(),
        default=None,
        help="Where alerts and other messages to operators are posted: Standard Webhooks, or a hook in Slack's form.",
        secret=True,
    )
    secret: str | None = setting(
        "GATELODGE_WEBHOOK_SECRET",
        SigningSecret(),
        default=None,
        help="Signs what is posted: whsec_ and base64 of 24 to 64 random bytes.",
        secret=True,
    )
