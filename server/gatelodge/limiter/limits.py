"""The limits in force: policies by subject, what a tool costs, and what a tenant or key has in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..contract import Call, Principal
from ..settings import ByTool
from .gcra import Bucket, Policy
from .quota import Quota
from .subjects import SUBJECTS, key

BySubject = Mapping[str, tuple[Quota, ...]]
"""Quotas of an `address`, `user`, `tenant`, `instance` or `tool`."""
Overrides = Callable[[Principal], BySubject | None]
"""The quotas that a tenant or key has in place of everybody's."""

NO_TOOL: ByTool[tuple[Quota, ...]] = ByTool()


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas by subject, and by tool where one has its own. `shadow` names subjects that are counted only, or `all`."""

    quotas: BySubject
    tools: ByTool[tuple[Quota, ...]] = NO_TOOL
    shadow: frozenset[str] = frozenset()

    def policies(
        self, tool: str | None, overrides: Iterable[tuple[str, tuple[Quota, ...]]] | None = None
    ) -> tuple[Policy, ...]:
        """Every policy for calls of a tool, or of no tool."""
        quotas = dict(self.quotas)
        own = self.tools.get(tool) if tool is not None else None
        if own is not None:
            quotas["tool"] = own
        quotas |= dict(overrides or ())
        return tuple(policy for subject in SUBJECTS for policy in self._of(subject, quotas.get(subject, ())))

    def _of(self, subject: str, quotas: Iterable[Quota]) -> Iterable[Policy]:
        shadow = subject in self.shadow or "all" in self.shadow
        return (Policy(f"{subject}-{quota.label}", subject, quota, shadow) for quota in quotas)


class Book:
    """Looks up what a call is measured by. Policies are worked out once for each tool and set of overrides."""

    def __init__(self, limits: Limits, costs: ByTool[int], overrides: Overrides) -> None:
        self._costs = costs
        self._overrides = overrides
        self._policies = lru_cache(maxsize=4096)(limits.policies)

    def buckets(self, call: Call, instances: Sequence[str] | None = None) -> list[Bucket]:
        """The buckets of every policy that has something to count in this call: one each, or one for each instance."""
        given = self._overrides(call.principal)
        tool = call.name if call.kind == "tool" else None
        found = []
        for policy in self._policies(tool, frozenset(given.items()) if given else None):
            if policy.subject == "instance" and instances is not None:
                found += [Bucket(key(call.principal.tenant, policy.name, each), policy) for each in instances]
                continue
            subject = SUBJECTS[policy.subject](call)
            if subject is not None:
                found.append(Bucket(key(call.principal.tenant, policy.name, subject), policy))
        return found

    def cost(self, call: Call) -> int:
        """Units a call takes: by the setting, else by the tool's `gatelodge/cost`, else 1."""
        if call.kind != "tool":
            return 1
        configured = self._costs.get(call.name)
        declared = call.target.tool.meta.get("gatelodge/cost") if configured is None else configured
        return declared if type(declared) is int and declared >= 0 else 1
