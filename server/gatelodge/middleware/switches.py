"""`mcp_enabled`: off refuses every call, also on doors that are no HTTP; health stays up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ..contract import Call, Kind, Middleware, Next, Phase, Principal, Result
from ..hookspecs import hookimpl
from ..notices import Notices
from ..storage import Storage
from ..switches import Switches
from ..switches.core import ENABLED, refuse_when_disabled


class SwitchesPlugin:
    def __init__(self) -> None:
        self._switches = Switches()

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("switches", Phase.ACCESS, self.check, self.visible),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage, notices: Notices) -> AsyncIterator[None]:
        known = storage.switches.get(ENABLED)

        def tell(enabled: bool) -> None:
            nonlocal known
            if enabled == known:
                return
            known = enabled
            for changed in (notices.tools_changed, notices.prompts_changed, notices.resources_changed):
                changed()

        self._switches = storage.switches
        self._switches.follow(ENABLED, tell)
        yield

    async def check(self, call: Call, call_next: Next) -> Result:
        refuse_when_disabled(self._switches)
        return await call_next(call)

    def visible(self, principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> bool:
        return bool(self._switches.get(ENABLED))
