"""Arguments are checked against what the tool or prompt takes, before anything else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..contract import Call, Middleware, Next, Phase, Result
from ..hookspecs import hookimpl


class ValidationPlugin:
    """Replaces raw arguments by what their target makes of them; refuses with `validation_error` and the field that is wrong."""

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("validation", Phase.VALIDATION, validate),)


async def validate(call: Call, call_next: Next) -> Result:
    return await call_next(replace(call, arguments=call.target.load(call.arguments)))
