"""Who may use what: scopes, and the allow-lists of a principal. What a list shows is what can be called."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract import Call, Kind, Middleware, Next, Phase, Principal, Result
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..identity.metadata import challenge
from ..toolset import matches


class AccessPlugin:
    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("access", Phase.ACCESS, check, visible),)


async def check(call: Call, call_next: Next) -> Result:
    """Refuse with `forbidden`, naming the scopes that are missing in `details` and in the challenge of RFC 6750."""
    principal = call.principal
    if not _listed(principal, call.kind, call.name):
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
    if scopes <= held or "admin" in held or (kind == "tool" and f"tool:{name}" in held):
        return frozenset()
    return frozenset(scope for scope in scopes if held.isdisjoint(_equivalents(scope)))


def _equivalents(scope: str) -> tuple[str, ...]:
    """Every scope that grants this one."""
    area, _, right = scope.rpartition(":")
    if right == "read":
        return scope, f"{area}:write", "*:read", "*:write"
    return (scope, "*:write") if right == "write" else (scope,)


def _listed(principal: Principal, kind: Kind, name: str) -> bool:
    if kind == "tool":
        return matches(name, principal.tools)
    if kind == "resource" or (kind == "completion" and "{" in name):  # of a variable in a resource template
        return matches(name, principal.resources)
    return matches(name, principal.prompts)
