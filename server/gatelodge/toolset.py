"""What one listener serves: the tools, resources and prompts of a set of plugins, compiled, and the way into dispatch."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from .contract import Call, Channel, Complete, Event, Kind, Principal, Prompt, Resource, Result, Route, SilentChannel
from .dispatch import CompiledTool, Dispatch, compile_tool, new_deadline
from .errors import ErrorCode, ToolError
from .plugins import Catalogue

UNKNOWN_TOOL = "unknown_tool"
"""The action of the event that a call of no tool leaves."""

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


@dataclass(frozen=True, slots=True)
class Completer:
    """What suggests values for one argument of a prompt or resource template, under the owner and scopes of that."""

    owner: str
    complete: Complete
    scopes: frozenset[str]

    async def handler(self, call: Call) -> Result:
        return Result(structured={"values": list(await self.complete(call))})


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

    def tool(self, name: str) -> CompiledTool:
        """The tool under its name or its underscore alias. Raises `not_found` with the nearest name."""
        found = self.tools.get(name) or self.tools.get(self._aliases.get(name, ""))
        if found is None:
            near = difflib.get_close_matches(name, self.tools, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ToolError(
                ErrorCode.NOT_FOUND, f"There is no tool {name!r}{hint}", details={"fields": {"name": ["Unknown tool."]}}
            )
        return found

    async def call_tool(self, name: str, arguments: Mapping[str, Any], origin: Origin) -> Result:
        """Call a tool. Raises `not_found` for an unknown name; every other failure is in the result."""
        compiled = self._tool(name, origin)
        key = origin.idempotency_key or origin.meta.get("gatelodge/idempotency-key") or arguments.get("idempotency_key")
        read_only = compiled.tool.annotations.read_only
        call = self._call("tool", compiled.tool.name, compiled, compiled.owner, arguments, origin, read_only, key)
        return await self._dispatch(call)

    def _tool(self, name: str, origin: Origin) -> CompiledTool:
        """What a call wants; that there is none is recorded, for there will be no `Call` to record."""
        try:
            return self.tool(name)
        except ToolError as error:
            event = _unknown(name, origin, error)
            for record in self._recorders:
                record(event)
            raise

    async def read_resource(self, uri: str, origin: Origin) -> Result:
        """Read a resource by its URI, through templates too. Raises `not_found`."""
        item, variables = self.resource(uri)
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
        raise ToolError(ErrorCode.NOT_FOUND, f"There is no resource {uri!r}", details={"uri": uri})

    def shows_resource(self, principal: Principal, uri: str) -> bool:
        """Whether there is such a resource, and this caller may read it."""
        try:
            item, _ = self.resource(uri)
        except ToolError:
            return False
        return self._shows(principal, "resource", uri, item.scopes)

    async def get_prompt(self, name: str, arguments: Mapping[str, Any], origin: Origin) -> Result:
        """Render a prompt. Raises `not_found`, and `validation_error` for a missing or unknown argument."""
        item = self.prompt(name)
        _check_prompt_arguments(item.item, arguments)
        return await self._dispatch(self._call("prompt", name, item, item.owner, arguments, origin))

    def prompt(self, name: str) -> Owned:
        """Raises `not_found`."""
        item = self.prompts.get(name)
        if item is None:
            raise ToolError(
                ErrorCode.NOT_FOUND, f"There is no prompt {name!r}", details={"fields": {"name": ["Unknown prompt."]}}
            )
        return item

    async def complete_prompt(self, name: str, argument: str, known: Mapping[str, str], origin: Origin) -> Result:
        """Suggestions for an argument of a prompt; `known` holds what is typed of it, and the other arguments."""
        owned = self.prompt(name)
        found = {item.name: item.complete for item in owned.item.arguments}
        return await self._complete(owned, name, found, argument, known, origin)

    async def complete_resource(self, template: str, argument: str, known: Mapping[str, str], origin: Origin) -> Result:
        """The same for a variable of a resource template. Raises `not_found` and `validation_error`."""
        owned = self.resources.get(template)
        if owned is None:
            raise ToolError(ErrorCode.NOT_FOUND, f"There is no resource {template!r}", details={"uri": template})
        names = owned.pattern.groupindex if owned.pattern else ()
        found = {name: owned.item.complete.get(name) for name in names}
        return await self._complete(owned, template, found, argument, known, origin)

    async def _complete(
        self,
        owned: Owned,
        name: str,
        found: Mapping[str, Complete | None],
        argument: str,
        known: Mapping[str, str],
        origin: Origin,
    ) -> Result:
        if argument not in found:
            wrong = {argument: ["Unknown argument."]}
            raise ToolError(
                ErrorCode.VALIDATION_ERROR, f"{name} has no argument {argument!r}", details={"fields": wrong}
            )
        complete = found[argument]
        if complete is None:
            return Result(structured={"values": []})
        completer = Completer(owned.owner, complete, owned.scopes)
        return await self._dispatch(self._call("completion", name, completer, owned.owner, known, origin))

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


def alias(name: str) -> str:
    """The name for client back ends that allow only `[A-Za-z0-9_-]`."""
    return name.replace(".", "_")


def matches(name: str, patterns: Iterable[str] | None) -> bool:
    """Whether an allow-list of names and glob patterns allows the name; `None` allows all."""
    return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _unknown(name: str, origin: Origin, error: ToolError) -> Event:
    principal = origin.principal
    return Event(
        action=UNKNOWN_TOOL,
        outcome=error.code.value,
        request_id=origin.request_id,
        tenant=principal.tenant,
        user=principal.user,
        method=principal.method,
        key_id=principal.key_id,
        address=principal.address,
        door=origin.door,
        detail={"tool": name},
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
