"""The user is asked before a tool acts that the operator's policy names."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec
from marshmallow import fields, validate

from ..contract import JSON, Call, Middleware, Next, Phase, Result
from ..dispatch import CompiledTool
from ..errors import ErrorCode, ToolError
from ..hookspecs import hookimpl
from ..names import matches_tool
from ..questions import CannotAsk, Form
from ..settings import CommaSeparated, Environment, setting
from ..storage import Storage
from ..switches import Switch, Switches
from .intent import has_effect

WHICH = validate.OneOf(["none", "destructive", "writes"])
UNABLE = validate.OneOf(["refuse", "allow"])
NOTHING: Mapping[str, JSON] = {"type": "object", "properties": {}}
LONGEST_PREVIEW = 2000
KEY = "gatelodge-confirm"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationSettings:
    """What the switches are until an operator sets them."""

    which: str = setting(
        "GATELODGE_CONFIRM",
        fields.String(validate=WHICH),
        default="none",
        help="Ask the user before: none, destructive tools, or all writes.",
    )
    tools: tuple[str, ...] = setting(
        "GATELODGE_CONFIRM_TOOLS", CommaSeparated(), default=(), help="Ask also before these tools (names or patterns)."
    )
    unable: str = setting(
        "GATELODGE_CONFIRM_UNABLE",
        fields.String(validate=UNABLE),
        default="refuse",
        help="Where the client cannot ask its user: refuse or allow.",
    )


class ConfirmationPlugin:
    """Stands behind validation, so that only a sound call is asked about, and before anything is claimed or counted."""

    def __init__(self) -> None:
        self._settings = ConfirmationSettings()
        self._switches = Switches()
        self._tools: Sequence[str] = ()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(ConfirmationSettings)

    @hookimpl
    def gatelodge_switches(self) -> Sequence[Switch]:
        settings, pattern = self._settings, fields.String(validate=validate.Length(min=1))
        return (
            Switch(
                name="confirm",
                kind=fields.String(validate=WHICH),
                default=settings.which,
                help="Ask the user before: none, destructive tools, or all writes.",
            ),
            Switch(
                name="confirm_tools",
                kind=fields.List(pattern),
                default=list(settings.tools),
                help="Ask also before these tools (names or patterns).",
            ),
            Switch(
                name="confirm_unable",
                kind=fields.String(validate=UNABLE),
                default=settings.unable,
                help="Where the client cannot ask its user: refuse or allow.",
            ),
        )

    @hookimpl(trylast=True)
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("confirmation", Phase.VALIDATION, self.confirm),)

    @hookimpl
    def gatelodge_compiled(self, tools: Mapping[str, CompiledTool]) -> None:
        self._tools = tuple(tools)

    @hookimpl
    @asynccontextmanager
    async def gatelodge_lifespan(self, storage: Storage) -> AsyncIterator[None]:
        self._switches = storage.switches
        self._switches.follow("confirm_tools", self._heed)
        yield

    async def confirm(self, call: Call, call_next: Next) -> Result:
        if call.kind != "tool" or not self._asks_before(call):
            return await call_next(call)
        preview = await _preview(call, call_next)
        if preview is not None and preview.error is not None:
            return preview  # what would fail anyway is nothing to ask about
        asked_at = asyncio.get_running_loop().time()
        key, question = _question(call, preview)
        try:
            answer = await call.ask(key, question)
        except CannotAsk:
            if self._switches.get("confirm_unable") == "allow":
                return await call_next(call)
            raise ToolError(
                ErrorCode.FORBIDDEN, f"{call.name} needs the user's consent, for which this client cannot ask."
            ) from None
        if not answer.accepted:
            raise ToolError(ErrorCode.FORBIDDEN, f"The user did not consent to {call.name}.")
        waited = asyncio.get_running_loop().time() - asked_at
        once = call.idempotency_key or answer.nonce  # one consent is to one effect, however often it is sent
        return await call_next(replace(call, deadline=call.deadline + waited, idempotency_key=once))

    def _heed(self, named: Sequence[str]) -> None:
        """What is named and not there protects nothing; better to hear of a slip now than after it."""
        idle = [pattern for pattern in named if not any(matches_tool(name, (pattern,)) for name in self._tools)]
        if idle:
            logger.warning("confirm_tools names what no tool is called: %s; see: gatelodge tools list", ", ".join(idle))

    def _asks_before(self, call: Call) -> bool:
        which, named = self._switches.get("confirm"), self._switches.get("confirm_tools")
        if which == "none" and not named:
            return False
        if named and matches_tool(call.name, named):
            return call.read_only or has_effect(call)
        destructive = call.target.tool.annotations.destructive
        return has_effect(call) and (which == "writes" or (which == "destructive" and destructive))


async def _preview(call: Call, call_next: Next) -> Result | None:
    """What the tool says it would do, where it has an argument to be asked that with."""
    if call.read_only or "dry_run" not in call.target.input_schema.get("properties", {}):
        return None
    return await call_next(replace(call, arguments={**call.arguments, "dry_run": True}, idempotency_key=None))


def _question(call: Call, preview: Result | None) -> tuple[str, Form]:
    """Consent is to all of what would be done, also to what a question has no room to show: should that be something else
    by the time of the answer, it is another question.
    """
    encoded = msgspec.json.encode(call.arguments if preview is None else preview.structured)
    text = encoded.decode()
    if len(text) > LONGEST_PREVIEW:
        text = f"{text[:LONGEST_PREVIEW]}… ({len(text)} characters)"
    what = "would be called with" if preview is None else "would do"
    message = f"{call.target.tool.title}? {call.name} {what}: {text}"
    return f"{KEY}-{hashlib.sha256(encoded).hexdigest()[:16]}", Form(message, NOTHING, consent=True)
