"""Prompts: plain, with arguments and their completion, with a resource, with a picture."""

from __future__ import annotations

from collections.abc import Sequence

from gatelodge import Argument, Call, Embedded, Image, Message, Prompt, Result, Text, TextContents

from .questions import PROMPT as ASKING
from .samples import RED_PIXEL
from .tools import ICON

CITIES = ("paris", "park", "party", "hello", "world")


async def simple(call: Call) -> Result:
    return Result(content=(Message("user", Text("This is a simple prompt for testing.")),))


async def with_arguments(call: Call) -> Result:
    one, two = call.arguments["arg1"], call.arguments["arg2"]
    return Result(content=(Message("user", Text(f"Prompt with arguments: arg1='{one}', arg2='{two}'")),))


async def with_resource(call: Call) -> Result:
    contents = TextContents(call.arguments["resourceUri"], "Embedded resource content for testing.")
    return Result(
        content=(
            Message("user", Embedded(contents)),
            Message("user", Text("Please process the embedded resource above.")),
        )
    )


async def with_image(call: Call) -> Result:
    return Result(
        content=(
            Message("user", Image(RED_PIXEL, "image/png")),
            Message("user", Text("Please analyze the image above.")),
        )
    )


async def complete(call: Call) -> Sequence[str]:
    return [city for city in CITIES if city.startswith(call.arguments.get("arg1", ""))]


PROMPTS = (
    Prompt(
        name="test_simple_prompt",
        title="Simple",
        description="A line of text.",
        handler=simple,
        icons=(ICON,),
    ),
    Prompt(
        name="test_prompt_with_arguments",
        title="With arguments",
        description="Repeats its arguments.",
        handler=with_arguments,
        arguments=(
            Argument(name="arg1", description="First test argument", required=True, complete=complete),
            Argument(name="arg2", description="Second test argument", required=True),
        ),
    ),
    Prompt(
        name="test_prompt_with_embedded_resource",
        title="With a resource",
        description="Embeds a resource.",
        handler=with_resource,
        arguments=(Argument(name="resourceUri", description="URI of the resource to embed", required=True),),
    ),
    Prompt(
        name="test_prompt_with_image",
        title="With an image",
        description="Holds a picture.",
        handler=with_image,
    ),
    ASKING,
)
