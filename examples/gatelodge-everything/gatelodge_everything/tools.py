"""How the tools of this plugin are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from marshmallow import Schema

from gatelodge import READ, Call, Icon, Result, Tool

ICON = Icon(src="https://example.com/everything.png", mime_type="image/png", sizes=("48x48",))


class NoArguments(Schema):
    """No arguments at all."""


def tool(
    name: str,
    description: str,
    handler: Callable[[Call], Awaitable[Result]],
    input: type[Schema] | Mapping[str, Any] = NoArguments,
    output: Mapping[str, Any] | None = None,
) -> Tool:
    """A read-only tool, titled by its name."""
    return Tool(
        name=name,
        title=name.replace("_", " ").capitalize(),
        description=description,
        input=input,
        output=output,
        handler=handler,
        annotations=READ,
        icons=(ICON,),
        meta={"gatelodge/cache": False},  # a result out of the cache would come without its progress and log lines
    )
