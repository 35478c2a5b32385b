"""What one listener serves: the tools, resources and prompts of a set of plugins, compiled, and the way into dispatch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import uuid4

from .contract import (
    Call,
    Channel,
    Complete,
    Event,
    Instances,
    Kind,
    Principal,
    Prompt,
    Resource,
    Result,
    Route,
    SilentChannel,
)
from .dispatch import CompiledTool, Dispatch, compile_tool, new_deadline
from .errors import ErrorCode, ToolError
from .names import alias, shown
from .plugins import Catalogue

UNKNOWN: Mapping[Kind, str] = {kind: f"unknown_{kind}" for kind in ("tool", "resource", "prompt", "completion")}
"""The action of the event that a call of nothing leaves, by what was to be called."""

KEY_IN_META = "gatelodge/idempotency-key"
"""Where a call's `_meta` may hold its idempotency key."""

Found = TypeVar("Found")
Visible = Callable[[Principal, Kind, str, frozenset[str]], bool]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call comes from, as the door saw it. The key and the trace are what its headers or `_meta` say."""

    principal: Principal
    door: str
    request_id: str = field(default_factory=lambda: uuid4().hex)
    idempotency_key: str | None = None
    trace: str | None = None
    tracestate: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    channel: Channel = field(default_factory=SilentChannel)


@dataclass(frozen=True, slots=True)
class Owned:
    """A resource or prompt, its owner and the scopes it needs."""

    owner: str
    item: Any
    scopes: frozenset[str]
    pattern: re.Pattern[str] | None = None

    @property
    def handler(self) -> Any:
        return self.item.handler

    @property
    def instances(self) -> Instances | None:
        return self.item.instances if isinstance(self.item, Resource) else None

    def load(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises `validation_error` for an argument that a prompt lacks or does not know."""
        if isinstance(self.item, Prompt):
            _check_prompt_arguments(self.item, arguments)
        return arguments


@dataclass(frozen=True, slots=True)
class Completer:
    """What suggests values for one argument of a prompt or resource template, under the owner and scopes of that."""

    owner: str
    name: str
    argument: str
    known: Mapping[str, Complete | None]
    scopes: frozenset[str]
    instances: Instances | None

    async def handler(self, call: Call) -> Result:
        complete = self.known[self.argument]
        return Result(structured={"values": [] if complete is None else list(await complete(call))})

    def load(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises `validation_error` for an argument that is not there to be completed."""
        if self.argument not in self.known:
            wrong = {shown(self.argument): ["Unknown argument."]}
            message = f"{self.name} has no argument {shown(self.argument)}"
            raise ToolError(ErrorCode.VALIDATION_ERROR, message, details={"fields": wrong})
        return arguments


class Toolset:
    """Looks names up, makes calls of them and sends them through dispatch."""

    def __init__(
        self,
        name: str,
        catalogue: Catalogue,
        plugins: Iterable[str],
        dispatch: Dispatch,
        *,
        timeout: float = 30.0,
        compiled: Mapping[str, CompiledTool] | None = None,
    ) -> None:
        self.name = name
        owners = set(plugins)
        compiled = compile_tools(catalogue) if compiled is None else compiled
        self.tools = {key: tool for key, tool in sorted(compiled.items()) if tool.owner in owners}
        self.resources = {uri: _owned(o, r) for uri, (o, r) in sorted(catalogue.resources.items()) if o in owners}
        self.prompts = {key: _owned(o, p) for key, (o, p) in sorted(catalogue.prompts.items()) if o in owners}
        self.routes: list[Route] = [route for owner, route in catalogue.routes if owner in owners]
        self._aliases = {alias(key): key for key in self.tools}
        self._dispatch = dispatch
        self._visible: list[Visible] = [item.visible for item in catalogue.middleware if item.visible is not None]
        self._timeout = timeout
        self._recorders = catalogue.recorders

    def visible_tools(self, principal: Principal) -> list[CompiledTool]:
        """The tools this caller may call, by name."""
        return [tool for name, tool in self.tools.items() if self._shows(principal, "tool", name, tool.scopes)]

    def shows_tool(self, principal: Principal, name: str) -> bool:
        """Whether there is such a tool, and this caller may call it."""
        return name in self.tools and self._shows(principal, "tool", name, self.tools[name].scopes)

    def visible_resources(self, principal: Principal) -> list[Owned]:
        return [item for uri, item in self.resources.items() if self._shows(principal, "resource", uri, item.scopes)]

    def visible_prompts(self, principal: Principal) -> list[Owned]:
        return [item for name, item in self.prompts.items() if self._shows(principal, "prompt", name, item.scopes)]

    def tool(self, name: str, principal: Principal | None = None) -> CompiledTool:
        """The tool under its name or its alias. Raises `not_found`, with the nearest name of those that this caller sees."""
        found = self.tools.get(name) or self.tools.get(self._aliases.get(name, ""))
        if found is None:
            seen = [item.tool.name for item in self.visible_tools(principal)] if principal and len(name) <= 64 else []
            near = difflib.get_close_matches(name, seen, n=1)
            message = f"There is no tool {shown(name)}" + (f"; did you mean {near[0]}?" if near else "")
            raise ToolError(ErrorCode.NOT_FOUND, message, details={"fields": {"name": ["Unknown tool."]}})
        return found

    def wanted(self, name: str, origin: Origin) -> CompiledTool:
        """The tool that a caller wants. That there is none is recorded."""
        return self._recorded("tool", name, origin, lambda: self.tool(name, origin.principal))

    async def call_tool(self, name: str, arguments: Mapping[str, Any], origin: Origin) -> Result:
        """Call a tool. Raises `not_found` for an unknown name; every other failure is in the result."""
        compiled = self.wanted(name, origin)
        key = origin.idempotency_key or origin.meta.get(KEY_IN_META) or arguments.get("idempotency_key")
        read_only = compiled.tool.annotations.read_only
        call = self._call("tool", compiled.tool.name, compiled, compiled.owner, arguments, origin, read_only, key)
        return await self._dispatch(call)

    def _recorded(self, kind: Kind, name: str, origin: Origin, find: Callable[[], Found]) -> Found:
        """What a call wants; that there is no such thing is recorded here, for there will be no `Call` to record."""
        try:
            return find()
        except ToolError as error:
            event = _unknown(kind, name, origin, error)
            for record in self._recorders:
                record(event)
            raise

    async def read_resource(self, uri: str, origin: Origin) -> Result:
        """Read a resource by its URI, through templates too. Raises `not_found`."""
        item, variables = self._recorded("resource", uri, origin, lambda: self.resource(uri))
        return await self._dispatch(self._call("resource", uri, item, item.owner, {"uri": uri, **variables}, origin))

    def resource(self, uri: str) -> tuple[Owned, dict[str, str]]:
        """What a URI leads to, and the variables of its template. Raises `not_found`."""
        exact = self.resources.get(uri)
        if exact is not None:
            return exact, {}
        for item in self.resources.values():
            match = item.pattern.fullmatch(uri) if item.pattern else None
            if match:
                return item, {name: unquote(value) for name, value in match.groupdict().items()}
        raise _no_resource(uri)

    def shows_resource(self, principal: Principal, uri: str) -> bool:
        """Whether there is such a resource, and this caller may read it."""
        try:
            item, _ = self.resource(uri)
        except ToolError:
            return False
        return any(self._shows(principal, "resource", name, item.scopes) for name in (uri, item.item.uri))

    async def get_prompt(self, name: str, arguments: Mapping[str, Any], origin: Origin) -> Result:
        """Render a prompt. Raises `not_found`."""
        item = self._recorded("prompt", name, origin, lambda: self.prompt(name))
        return await self._dispatch(self._call("prompt", name, item, item.owner, arguments, origin))

    def prompt(self, name: str) -> Owned:
        """Raises `not_found`."""
        item = self.prompts.get(name)
        if item is None:
            message = f"There is no prompt {shown(name)}"
            raise ToolError(ErrorCode.NOT_FOUND, message, details={"fields": {"name": ["Unknown prompt."]}})
        return item

    async def complete_prompt(self, name: str, argument: str, known: Mapping[str, str], origin: Origin) -> Result:
        """Suggestions for an argument of a prompt; `known` holds what is typed of it, and the other arguments."""
        owned = self._recorded("completion", name, origin, lambda: self.prompt(name))
        found = {item.name: item.complete for item in owned.item.arguments}
        return await self._complete(Completer(owned.owner, name, argument, found, owned.scopes, None), known, origin)

    async def complete_resource(self, template: str, argument: str, known: Mapping[str, str], origin: Origin) -> Result:
        """The same for a variable of a resource template. Raises `not_found`."""
        owned = self._recorded("completion", template, origin, lambda: self.template(template))
        names = owned.pattern.groupindex if owned.pattern else ()
        found = {name: owned.item.complete.get(name) for name in names}
        return await self._complete(
            Completer(owned.owner, template, argument, found, owned.scopes, owned.instances), known, origin
        )

    def template(self, uri: str) -> Owned:
        """A resource by what it is registered as. Raises `not_found`."""
        owned = self.resources.get(uri)
        if owned is None:
            raise _no_resource(uri)
        return owned

    async def _complete(self, completer: Completer, known: Mapping[str, str], origin: Origin) -> Result:
        call = self._call("completion", completer.name, completer, completer.owner, known, origin)
        return await self._dispatch(call)

    def _call(
        self,
        kind: Kind,
        name: str,
        target: Any,
        owner: str,
        arguments: Mapping[str, Any],
        origin: Origin,
        read_only: bool = True,
        key: str | None = None,
    ) -> Call:
        return Call(
            kind=kind,
            name=name,
            target=target,
            owner=owner,
            arguments=arguments,
            principal=origin.principal,
            request_id=origin.request_id,
            door=origin.door,
            deadline=new_deadline(self._timeout),
            read_only=read_only,
            idempotency_key=key,
            trace=origin.trace,
            tracestate=origin.tracestate,
            meta=origin.meta,
            channel=origin.channel,
        )

    def _shows(self, principal: Principal, kind: Kind, name: str, scopes: frozenset[str]) -> bool:
        return all(visible(principal, kind, name, scopes) for visible in self._visible)


def compile_tools(catalogue: Catalogue) -> dict[str, CompiledTool]:
    """Every tool of the catalogue compiled, by name. Raises what a bad schema raises."""
    return {name: compile_tool(owner, tool) for name, (owner, tool) in catalogue.tools.items()}


def _no_resource(uri: str) -> ToolError:
    return ToolError(ErrorCode.NOT_FOUND, f"There is no resource {shown(uri)}", details={"uri": uri})


def _unknown(kind: Kind, name: str, origin: Origin, error: ToolError) -> Event:
    principal = origin.principal
    return Event(
        action=UNKNOWN[kind],
        outcome=error.code.value,
        request_id=origin.request_id,
        tenant=principal.tenant,
        user=principal.user,
        method=principal.method,
        key_id=principal.key_id,
        address=principal.address,
        door=origin.door,
        detail={kind: name},
    )


def _owned(owner: str, item: Resource | Prompt) -> Owned:
    pattern = _uri_pattern(item.uri) if isinstance(item, Resource) else None
    return Owned(owner, item, item.scopes or frozenset({f"{owner}:read"}), pattern)


def _uri_pattern(template: str) -> re.Pattern[str]:
    """RFC 6570 level 1: `{name}` stands for one path segment."""
    parts = re.split(r"\{(\w+)\}", template)
    literal_and_names = (re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/?#]+)" for i, part in enumerate(parts))
    return re.compile("".join(literal_and_names))


def _check_prompt_arguments(prompt: Prompt, arguments: Mapping[str, Any]) -> None:
    known = {argument.name for argument in prompt.arguments}
    wrong = {name: ["Unknown argument."] for name in arguments if name not in known}
    wrong |= {a.name: ["Missing."] for a in prompt.arguments if a.required and a.name not in arguments}
    wrong |= {
        name: ["Not a string."] for name, value in arguments.items() if name in known and not isinstance(value, str)
    }
    if wrong:
        field_name, sentences = next(iter(wrong.items()))
        raise ToolError(ErrorCode.VALIDATION_ERROR, f"{field_name}: {sentences[0]}", details={"fields": wrong})
