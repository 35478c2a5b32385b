"""What an operator sets: limits in the environment, and the same and more while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marshmallow import fields, validate

from ..contract import Principal
from ..settings import ByTool, ByToolField, CommaSeparated, setting, whole_number
from ..switches import Switch, Switches
from .limits import Book, BySubject, Limits
from .quota import Quota, Quotas, parse_quotas
from .subjects import SUBJECTS

ENABLED = "rate_limit_enabled"
LIMITS = "rate_limits"
OVERRIDES = "rate_limit_overrides"
SHADOW = "rate_limit_shadow"

_SHADOW = validate.ContainsOnly([*SUBJECTS, "all"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """`default` calls in `window` seconds a Jira instance; the rest are quotas as `100/minute,1000/hour`, or `off`."""

    enabled: bool = setting("MCP_RATE_LIMIT_ENABLED", fields.Boolean(), default=True, help="Whether limits apply.")
    default: int = setting(
        "RATE_LIMIT_DEFAULT",
        fields.Integer(validate=validate.Range(min=1, max=10**9)),
        default=100,
        help="Calls to one Jira instance in each window.",
    )
    window: int = setting(
        "RATE_LIMIT_WINDOW",
        fields.Integer(validate=validate.Range(min=1, max=366 * 86400)),
        default=60,
        help="That window, in seconds.",
    )
    user: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_USER",
        Quotas(),
        default=parse_quotas("100/minute,1000/hour,10000/day"),
        help="Quotas of one user.",
    )
    address: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_ADDRESS", Quotas(), default=(), help="Quotas of one client address, of IPv6 one /64."
    )
    tenant: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_TENANT", Quotas(), default=(), help="Quotas of all users of a tenant together."
    )
    tool: tuple[Quota, ...] = setting(
        "GATELODGE_RATE_LIMIT_TOOL", Quotas(), default=(), help="Quotas of each tool in a tenant."
    )
    tools: ByTool[tuple[Quota, ...]] = setting(
        "GATELODGE_RATE_LIMIT_TOOLS",
        ByToolField(parse_quotas),
        default=ByTool(),
        help="Quotas of single tools, as jira.create_issue=10/minute; sql.*=off.",
    )
    costs: ByTool[int] = setting(
        "GATELODGE_RATE_LIMIT_COSTS",
        ByToolField(whole_number),
        default=ByTool(),
        help="What a call of a tool counts as, as sql.*=5; jira.search=2.",
    )
    shadow: tuple[str, ...] = setting(
        "GATELODGE_RATE_LIMIT_SHADOW",
        CommaSeparated(validate=_SHADOW),
        default=(),
        help="Kinds of limits that are counted but refuse nothing: address, user, tenant, instance, tool or all.",
    )

    @property
    def quotas(self) -> BySubject:
        """The quotas of everybody, by subject."""
        instance = (Quota(self.default, self.window),)
        named = {"user": self.user, "address": self.address, "tenant": self.tenant, "tool": self.tool}
        return {"instance": instance, **named}


def limit_switches(settings: RateLimitSettings) -> Sequence[Switch]:
    """The limits as settings that change while the server runs."""
    quotas = fields.Dict(keys=fields.String(validate=validate.OneOf(list(SUBJECTS))), values=Quotas())
    subjects = fields.List(fields.String(), validate=_SHADOW)
    return (
        Switch(
            name=ENABLED,
            kind=fields.Boolean(truthy={True}, falsy={False}),
            default=settings.enabled,
            help="Whether limits apply.",
        ),
        Switch(
            name=LIMITS,
            kind=quotas,
            default={},
            help='Quotas in place of those of the environment: {"user": "100/minute", "tenant": "off"}.',
        ),
        Switch(
            name=OVERRIDES,
            kind=fields.Dict(keys=fields.String(), values=quotas),
            default={},
            help='Quotas of a tenant, by its id, or of an API key: {"key:4f…": {"user": "500/minute"}}.',
        ),
        Switch(
            name=SHADOW,
            kind=subjects,
            default=list(settings.shadow),
            help=f"Kinds of limits that are counted but refuse nothing: {', '.join(SUBJECTS)} or all.",
        ),
    )


def read_book(settings: RateLimitSettings, switches: Switches) -> Book:
    """The limits as they are set now."""
    limits = Limits({**settings.quotas, **switches.get(LIMITS)}, settings.tools, frozenset(switches.get(SHADOW)))
    return Book(limits, settings.costs, overrides(switches.get(OVERRIDES)))


def overrides(given: dict[str, BySubject]) -> Callable[[Principal], BySubject | None]:
    """Looks up what a tenant and, over it, a key has of its own."""

    def find(principal: Principal) -> BySubject | None:
        if not given:
            return None
        of_tenant = given.get(str(principal.tenant), {})
        return {**of_tenant, **given.get(f"key:{principal.key_id}", {})}

    return find
