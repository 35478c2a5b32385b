"""The limits in force: policies by subject, what a tool costs, and what a tenant or key has in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..contract import Call, Principal
from ..settings import ByTool
from .gcra import Bucket, Policy
from .quota import Quota, parse_quotas
from .subjects import SUBJECTS, key

Overrides = Callable[[Principal], Mapping[str, str] | None]
"""The quotas a tenant or key has in place of the configured ones: subject (`user`) to text (`500/minute`), or None."""


NO_TOOL: ByTool[tuple[Quota, ...]] = ByTool()


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas by subject, and by tool where one has its own. `shadow` names subjects that are counted only, or `all`."""

    quotas: Mapping[str, tuple[Quota, ...]]
    tools: ByTool[tuple[Quota, ...]] = NO_TOOL
    shadow: frozenset[str] = frozenset()

    def policies(self, tool: str | None, overrides: Mapping[str, str] | None = None) -> tuple[Policy, ...]:
        """Every policy for calls of a tool, or of no tool. Raises `ValueError` for an override that is no quota."""
        quotas = dict(self.quotas)
        own = self.tools.get(tool) if tool is not None else None
        if own is not None:
            quotas["tool"] = own
        quotas |= {subject: parse_quotas(text) for subject, text in (overrides or {}).items() if subject in SUBJECTS}
        return tuple(policy for subject in SUBJECTS for policy in self._of(subject, quotas.get(subject, ())))

    def _of(self, subject: str, quotas: Iterable[Quota]) -> Iterable[Policy]:
        shadow = subject in self.shadow or "all" in self.shadow
        return (Policy(f"{subject}-{quota.label}", subject, quota, shadow) for quota in quotas)


class Book:
    """Looks up what a call is measured by. What the settings alone decide is worked out once a tool."""

    def __init__(self, limits: Limits, costs: ByTool[int], overrides: Overrides) -> None:
        self._costs = costs
        self._overrides = overrides
        self._policies = lru_cache(maxsize=4096)(
            lambda tool, given: limits.policies(tool, dict(given) if given else None)
        )
        self._cost = lru_cache(maxsize=4096)(self._find_cost)

    def buckets(self, call: Call) -> list[Bucket]:
        """The bucket of every policy that has something to count in this call."""
        found = []
        for policy in self.policies(call):
            subject = SUBJECTS[policy.subject](call)
            if subject is not None:
                found.append(Bucket(key(call.principal.tenant, policy.name, subject), policy))
        return found

    def policies(self, call: Call) -> tuple[Policy, ...]:
        given = self._overrides(call.principal)
        tool = call.name if call.kind == "tool" else None
        policies: tuple[Policy, ...] = self._policies(tool, frozenset(given.items()) if given else None)
        return policies

    def cost(self, call: Call) -> int:
        """Units a call takes: by the setting, else by the tool's `gatelodge/cost`, else 1."""
        return self._cost(call.name, call.target.tool.meta.get("gatelodge/cost")) if call.kind == "tool" else 1

    def _find_cost(self, tool: str, declared: object) -> int:
        configured = self._costs.get(tool)
        if configured is not None:
            return configured
        return declared if isinstance(declared, int) and not isinstance(declared, bool) and declared >= 0 else 1
