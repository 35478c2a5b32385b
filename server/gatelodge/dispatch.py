"""A `Call` through the folded middleware to its target, and back as a `Result`.

Every door ends here, so policy cannot be walked around, and here is the one place where a raised error becomes a result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from .contract import Call, Instances, Middleware, Next, Result, Tool
from .errors import ErrorCode, ToolError
from .mirrored import Mirrored, mirrored_parameters
from .names import TOOL_NAME
from .questions import InputRequired
from .schema import checker, json_schema, loader

logger = logging.getLogger(__name__)

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """A tool with everything about it that can be worked out before the first call."""

    owner: str
    tool: Tool
    scopes: frozenset[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    load: Callable[[Mapping[str, Any]], dict[str, Any]]
    check: Callable[[Any], None]
    mirrored: tuple[Mirrored, ...] = ()

    @property
    def instances(self) -> Instances | None:
        return self.tool.instances


def compile_tool(owner: str, tool: Tool) -> CompiledTool:
    """Derive the JSON Schemas, the argument loader, the output checker and the default scopes. Raises on a bad schema."""
    if not TOOL_NAME.fullmatch(tool.name):
        raise ValueError(f"a tool's name is 1 to 64 of A-Z a-z 0-9 _ . -, and not {tool.name!r}")
    input_schema = json_schema(tool.input)
    output_schema = None if tool.output is None else json_schema(tool.output)
    return CompiledTool(
        owner=owner,
        tool=tool,
        scopes=tool.scopes or frozenset({f"{owner}:{'read' if tool.annotations.read_only else 'write'}"}),
        input_schema=input_schema,
        output_schema=output_schema,
        load=loader(tool.input),
        check=_accept if output_schema is None else checker(output_schema),
        mirrored=mirrored_parameters(input_schema),
    )


def fold(middleware: Iterable[Middleware], endpoint: Next) -> Next:
    """One callable out of middleware, the first one outermost, around `endpoint`."""
    for item in reversed(list(middleware)):
        endpoint = _around(item, endpoint)
    return endpoint


class Dispatch:
    """The fold, closed by the target's handler inside and by the mapping of errors outside."""

    def __init__(self, middleware: Iterable[Middleware]) -> None:
        self._fold = fold(middleware, _target)

    async def __call__(self, call: Call) -> Result:
        """Answer a call. Never raises, but for cancellation."""
        return await answered(self._fold, call)


async def answered(step: Next, call: Call) -> Result:
    """What `step` answers, or the error it raised as a result. Never raises, but for cancellation."""
    try:
        return await step(call)
    except ToolError as error:
        return Result(error=error)
    except TimeoutError:
        return Result(error=ToolError(ErrorCode.TIMEOUT, f"{call.name} did not finish before its deadline"))
    except Exception as cause:  # the last line of defence: the caller gets a code and an id, the log gets the cause
        logger.exception("call failed", extra={"request_id": call.request_id, "target": call.name})
        failure = ToolError(ErrorCode.INTERNAL, "The server failed; its log has the cause under this request id.")
        failure.__cause__ = cause
        return Result(error=failure)


async def _target(call: Call) -> Result:
    """Run the handler. What a tool answers must satisfy its own output schema, or nothing of it is sent."""
    compiled = call.target
    handler = compiled.tool.handler if isinstance(compiled, CompiledTool) else compiled.handler
    try:
        answer = await handler(call)
    except InputRequired as waiting:
        return Result(questions=waiting.questions)
    result = answer if isinstance(answer, Result) else Result(structured=answer)
    if result.error is None and isinstance(compiled, CompiledTool) and compiled.output_schema is not None:
        compiled.check(msgspec.to_builtins(result.structured))
    return result


def _around(item: Middleware, inner: Next) -> Next:
    handle = item.handle

    async def step(call: Call) -> Result:
        try:
            return await handle(call, inner)
        except InputRequired as waiting:
            return Result(questions=waiting.questions)

    return step


def _accept(value: Any) -> None:
    return None


def new_deadline(seconds: float) -> float:
    """A deadline that many seconds from now, in the event loop's time."""
    return asyncio.get_running_loop().time() + seconds
