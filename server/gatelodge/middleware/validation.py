"""Arguments are checked against the tool's input schema before anything else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..contract import Call, Middleware, Next, Phase, Result
from ..hookspecs import hookimpl


class ValidationPlugin:
    """Replaces raw arguments by typed ones; refuses with `validation_error` and the field that is wrong."""

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("validation", Phase.VALIDATION, validate),)


async def validate(call: Call, call_next: Next) -> Result:
    if call.kind != "tool":
        return await call_next(call)
    return await call_next(replace(call, arguments=call.target.load(call.arguments)))
