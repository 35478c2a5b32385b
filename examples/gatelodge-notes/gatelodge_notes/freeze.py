"""The plugin `notes_freeze`: while an operator says so, notes may be read and not written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from marshmallow import fields

from gatelodge import (
    Call,
    CompiledTool,
    ErrorCode,
    Kind,
    Middleware,
    Next,
    Notices,
    Phase,
    Principal,
    Result,
    Storage,
    Switch,
    ToolError,
    hookimpl,
)

FROZEN = "notes_frozen"


class FreezePlugin:
    """Brings middleware, so it is policy: without it the server does not start."""

    def __init__(self) -> None:
        self._writes: frozenset[str] = frozenset()
        self._frozen = False

    @hookimpl
    def gatelodge_compiled(self, tools: Mapping[str, CompiledTool]) -> None:
        of_notes = {name: tool for name, tool in tools.items() if tool.owner == "notes"}
        self._writes = frozenset(name for name, tool in of_notes.items() if not tool.tool.annotations.read_only)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        yes_or_no = fields.Boolean(truthy={True}, falsy={False})
        return (Switch(name=FROZEN, kind=yes_or_no, default=False, help="Whether notes may be read only."),)

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("notes_freeze", Phase.ACCESS, self.check, self.visible),)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage, notices: Notices) -> AsyncIterator[None]:
        def follow(frozen: bool) -> None:
            self._frozen = frozen
            notices.tools_changed()

        storage.switches.follow(FROZEN, follow)
        yield

    async def check(self, call: Call, call_next: Next) -> Result:
        if self._frozen and call.name in self._writes:
            raise ToolError(ErrorCode.FORBIDDEN, "The notes are frozen; they can only be read now.")
        return await call_next(call)

    def visible(self, principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> bool:
        """What a list shows is what can be called."""
        return not (self._frozen and name in self._writes)
