"""The switches of the core itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from marshmallow import fields, validate

from ..errors import ErrorCode, ToolError
from ..settings import CommaSeparated, Environment, setting
from ..webhooks.message import Message
from .registry import Switch, Switches

ENABLED = "mcp_enabled"
ORIGINS = "allowed_origins"
LOG_LEVEL = "log_level"

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class _Level(fields.String):
    """A level in either case."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> str:
        return str(super()._deserialize(value, attr, data)).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """What the switches are until an operator sets them."""

    enabled: bool = setting("MCP_ENABLED", fields.Boolean(), default=True, help="Whether any call is answered.")
    origins: tuple[str, ...] = setting(
        "GATELODGE_ALLOWED_ORIGINS", CommaSeparated(), default=(), help="Origins that browsers may call from."
    )
    log_level: str = setting(
        "LOG_LEVEL", _Level(validate=validate.OneOf(LEVELS)), default="WARNING", help="The least severe line logged."
    )


def core_switches(environment: Environment) -> Sequence[Switch]:
    """Raises `StartupError` for a variable that does not fit."""
    settings = environment.read(CoreSettings)
    origin = fields.String(validate=validate.Length(min=1))
    return (
        Switch(
            name=ENABLED,
            kind=fields.Boolean(truthy={True}, falsy={False}),
            default=settings.enabled,
            help="Whether any call is answered; health always is.",
            announce=_announce,
        ),
        Switch(
            name=ORIGINS,
            kind=fields.List(origin),
            default=list(settings.origins),
            help="Origins that browsers may call from.",
        ),
        Switch(
            name=LOG_LEVEL,
            kind=_Level(validate=validate.OneOf(LEVELS)),
            default=settings.log_level,
            help=f"The least severe line logged: {', '.join(LEVELS)}.",
        ),
    )


def refuse_when_disabled(switches: Switches) -> None:
    """Raises `disabled`."""
    if not switches.get(ENABLED):
        raise ToolError(ErrorCode.DISABLED, "This server is switched off by its operator.")


def follow_log_level(switches: Switches) -> None:
    switches.follow(LOG_LEVEL, logging.getLogger("gatelodge").setLevel)


def _announce(enabled: bool, by: str) -> Message:
    text = f"The server was switched {'on' if enabled else 'off'} by {by}."
    return Message(type=f"server.{'enabled' if enabled else 'disabled'}", text=text, data={"by": by})
