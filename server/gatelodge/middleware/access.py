"""Who may use what: scopes, and the allow-lists of a principal. What a list shows is what can be called."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract import Call, Kind, Middleware, Next, Phase, Principal, Result
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..identity.metadata import challenge
from ..names import alias, matches, matches_tool


class AccessPlugin:
    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("access", Phase.ACCESS, check, visible),)


async def check(call: Call, call_next: Next) -> Result:
    """Refuse with `forbidden`, naming the scopes that are missing in `details` and in the challenge of RFC 6750."""
    principal = call.principal
    if not _listed(principal, call.kind, *_names(call)):
        raise ToolError(ErrorCode.FORBIDDEN, f"{call.name} is not on the list of what you may use.")
    missing = sorted(missing_scopes(principal, call.kind, call.name, call.target.scopes))
    if missing:
        message = f"{call.name} needs {' and '.join(missing)}."
        header = challenge("insufficient_scope", message, principal.scopes.union(missing))
        raise ToolError(
            ErrorCode.FORBIDDEN, message, details={"missing_scopes": missing}, headers={"WWW-Authenticate": header}
        )
    return await call_next(call)


def visible(principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> bool:
    return _listed(principal, kind, name) and not missing_scopes(principal, kind, name, scopes)


def missing_scopes(principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> frozenset[str]:
    """The ones of `scopes` that the principal lacks.

    `admin` and, for a tool, `tool:<name>` stand for all of them; `x:write` for `x:read`; `*:write` for every `x:write`.
    """
    held = principal.scopes
    if scopes <= held or "admin" in held or (kind == "tool" and not held.isdisjoint(_own(name))):
        return frozenset()
    return frozenset(scope for scope in scopes if held.isdisjoint(_equivalents(scope)))


def _equivalents(scope: str) -> tuple[str, ...]:
    """Every scope that grants this one."""
    area, _, right = scope.rpartition(":")
    if right == "read":
        return scope, f"{area}:write", "*:read", "*:write"
    return (scope, "*:write") if right == "write" else (scope,)


def _own(tool: str) -> tuple[str, str]:
    """The scopes that stand for one tool alone."""
    return f"tool:{tool}", f"tool:{alias(tool)}"


def _names(call: Call) -> tuple[str, ...]:
    """A resource is on a list by its URI, or by the template that leads to it, as that is what lists show."""
    return (call.name, call.target.item.uri) if call.kind == "resource" else (call.name,)


def _listed(principal: Principal, kind: Kind, *names: str) -> bool:
    if kind == "tool":
        return matches_tool(names[0], principal.tools)
    if kind == "resource" or (kind == "completion" and "{" in names[0]):  # of a variable in a resource template
        return any(matches(name, principal.resources) for name in names)
    return matches(names[0], principal.prompts)
