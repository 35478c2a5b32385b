"""A tool whose definition changed is hidden and refused until an operator approves it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from marshmallow import fields, validate

from ..contract import Call, HealthCheck, Kind, Middleware, Next, Phase, Principal, Result
from ..dispatch import CompiledTool
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..identity.pins import CHANNEL, PinStore, definition, fingerprint
from ..notices import Notices
from ..settings import Environment, setting
from ..storage import Storage

logger = logging.getLogger(__name__)

PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinningSettings:
    """Where nothing is said, tools are pinned in production mode."""

    wanted: bool | None = setting(
        "GATELODGE_TOOL_PINNING",
        fields.Boolean(),
        default=None,
        help="Quarantine tools whose definition changed; by default in production mode.",
    )
    mode: str = setting(
        "GATELODGE_MODE",
        fields.String(validate=validate.OneOf(["development", PRODUCTION])),
        default="development",
        help="development, or production with stricter defaults.",
    )

    @property
    def on(self) -> bool:
        return self.mode == PRODUCTION if self.wanted is None else self.wanted


class PinningPlugin:
    def __init__(self) -> None:
        self._on = False
        self._tools: Mapping[str, CompiledTool] = {}
        self._quarantined: frozenset[str] = frozenset()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._on = environment.read(PinningSettings).on

    @hookimpl
    def gatelodge_compiled(self, tools: Mapping[str, CompiledTool]) -> None:
        self._tools = tools

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("pinning", Phase.ACCESS, self.check, self.visible),) if self._on else ()

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        advice = "look at what changed: gatelodge tools pending; if it is well: gatelodge tools approve NAME"
        return (HealthCheck("tool_pins", self.health, critical=False, advice=advice),) if self._on else ()

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage, notices: Notices) -> AsyncIterator[None]:
        if not self._on:
            yield
            return
        store = PinStore(storage.postgres)
        definitions = {name: definition(tool) for name, tool in self._tools.items()}
        pins = frozenset((name, fingerprint(seen)) for name, seen in definitions.items())

        async def refresh(names: frozenset[str] | None) -> None:
            if self._quarantine(frozenset(name for name, _ in pins - await store.approved())):
                notices.tools_changed()

        await store.see(definitions)
        async with storage.changes.watching(CHANNEL, refresh):
            yield

    async def check(self, call: Call, call_next: Next) -> Result:
        if call.kind == "tool" and call.name in self._quarantined:
            raise ToolError(
                ErrorCode.FORBIDDEN,
                f"{call.name} is not what it was; an operator has to approve its new definition (gatelodge tools approve).",
            )
        return await call_next(call)

    def visible(self, principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> bool:
        return kind != "tool" or name not in self._quarantined

    async def health(self) -> str:
        if self._quarantined:
            names = ", ".join(sorted(self._quarantined))
            raise ToolError(ErrorCode.FORBIDDEN, f"quarantined: {names}; see: gatelodge tools pending")
        return f"{len(self._tools)} tools are as approved"

    def _quarantine(self, names: frozenset[str]) -> bool:
        """Whether that is a change."""
        changed = names != self._quarantined
        if changed:
            if names:
                logger.warning(
                    "tools in quarantine, as their definitions changed: %s; look at: gatelodge tools pending,"
                    " then: gatelodge tools approve NAME",
                    ", ".join(sorted(names)),
                )
            else:
                logger.warning("no tool is in quarantine any more")
        self._quarantined = names
        return changed
