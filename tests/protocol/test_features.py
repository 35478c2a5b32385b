"""What each revision offers a client that only asks: lists, reading, prompts, completion, content of every kind."""

from __future__ import annotations

import base64
import json

import pytest

from .conftest import Speak
from .schema import SESSIONS, STATELESS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = pytest.mark.parametrize("revision", [STATELESS, *SESSIONS])


@ALL
async def test_tools_are_listed_with_what_their_revision_knows(speak: Speak, revision: str) -> None:
    """Titles come with 2025-06-18, icons with 2025-11-25, results that are no objects with 2026-07-28."""
    client = await speak(revision)
    tools = {tool["name"]: tool for tool in (await client.ask("tools/list")).result["tools"]}
    assert ("title" in tools["greet"]) is (revision >= "2025-06-18")
    assert ("icons" in tools["greet"]) is (revision >= "2025-11-25")
    assert ("outputSchema" in tools["test_structured_list"]) is (revision == STATELESS)


@ALL
async def test_every_kind_of_content(speak: Speak, revision: str) -> None:
    """Text, images, audio, resources and links arrive; what a revision has no block for arrives as text."""
    client = await speak(revision)
    mixed = (await client.call("test_multiple_content_types")).result["content"]
    assert [block["type"] for block in mixed] == ["text", "image", "resource"]
    audio = (await client.call("test_audio_content")).result["content"][0]
    assert audio["type"] == ("text" if revision == "2024-11-05" else "audio")
    link = (await client.call("test_resource_link")).result["content"][0]
    assert link["type"] == ("resource_link" if revision >= "2025-06-18" else "text")


@ALL
async def test_structured_results_of_any_shape(speak: Speak, revision: str) -> None:
    """A list is text in every revision, and structured where the revision allows more than objects."""
    result = (await (await speak(revision)).call("test_structured_list")).result
    assert json.loads(result["content"][0]["text"]) == [1, 2, 3]
    assert result.get("structuredContent") == ([1, 2, 3] if revision == STATELESS else None)


@ALL
async def test_resources_are_listed_and_read(speak: Speak, revision: str) -> None:
    """Text, binary and templated resources; templates have a list of their own."""
    client = await speak(revision)
    listed = {item["uri"] for item in (await client.ask("resources/list")).result["resources"]}
    assert {"test://static-text", "test://static-binary"} <= listed
    templates = (await client.ask("resources/templates/list")).result["resourceTemplates"]
    assert "test://template/{id}/data" in {item["uriTemplate"] for item in templates}
    text = (await client.ask("resources/read", {"uri": "test://static-text"})).result["contents"][0]
    assert text["text"].startswith("This is the content")
    blob = (await client.ask("resources/read", {"uri": "test://static-binary"})).result["contents"][0]
    assert base64.b64decode(blob["blob"]).startswith(b"\x89PNG")
    data = (await client.ask("resources/read", {"uri": "test://template/a%20b/data"})).result["contents"][0]
    assert json.loads(data["text"])["id"] == "a b"


@ALL
async def test_a_resource_that_is_not_there(speak: Speak, revision: str) -> None:
    """The code moved from -32002 to -32602 with 2026-07-28; the URI is in the data."""
    error = (await (await speak(revision)).ask("resources/read", {"uri": "test://nothing"})).error
    assert error["code"] == (-32602 if revision == STATELESS else -32002)
    assert error["data"]["uri"] == "test://nothing"


@ALL
async def test_prompts_are_listed_and_rendered(speak: Speak, revision: str) -> None:
    """A prompt takes its arguments, and refuses to go without one that is required."""
    client = await speak(revision)
    prompts = {prompt["name"]: prompt for prompt in (await client.ask("prompts/list")).result["prompts"]}
    assert [a["name"] for a in prompts["test_prompt_with_arguments"]["arguments"]] == ["arg1", "arg2"]
    filled = {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}}
    message = (await client.ask("prompts/get", filled)).result["messages"][0]
    assert message["content"]["text"] == "Prompt with arguments: arg1='a', arg2='b'"
    missing = await client.ask("prompts/get", filled | {"arguments": {"arg1": "a"}})
    assert missing.error["code"] == -32602


@ALL
async def test_completion(speak: Speak, revision: str) -> None:
    """Suggestions follow what is typed, for prompts and for templates; an unknown argument is refused."""
    client = await speak(revision)
    prompt = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
    asked = {"ref": prompt, "argument": {"name": "arg1", "value": "par"}}
    assert (await client.ask("completion/complete", asked)).result["completion"] == {
        "values": ["paris", "park", "party"],
        "total": 3,
        "hasMore": False,
    }
    template = {"type": "ref/resource", "uri": "test://template/{id}/data"}
    asked = {"ref": template, "argument": {"name": "id", "value": "12"}}
    assert (await client.ask("completion/complete", asked)).result["completion"]["values"] == ["12", "123"]
    asked = {"ref": prompt, "argument": {"name": "arg9", "value": ""}}
    assert (await client.ask("completion/complete", asked)).error["code"] == -32602


@ALL
async def test_progress_only_for_who_gave_a_token(speak: Speak, revision: str) -> None:
    """Three steps for a token, none without; a message with them from 2025-03-26 on."""
    client = await speak(revision)
    told = (await client.call("test_tool_with_progress", {"progressToken": "p"})).notifications
    steps = [item["params"] for item in told]
    assert [(step["progressToken"], step["progress"]) for step in steps] == [("p", 0), ("p", 50), ("p", 100)]
    assert ("message" in steps[0]) is (revision != "2024-11-05")
    assert (await client.call("test_tool_with_progress")).notifications == []


@pytest.mark.parametrize("revision", SESSIONS)
async def test_log_lines_from_the_wanted_level_up(speak: Speak, revision: str) -> None:
    """A session hears info unless it sets another level; an unknown level is refused."""
    client = await speak(revision)
    assert len((await client.call("test_tool_with_logging")).notifications) == 3
    await client.ask("logging/setLevel", {"level": "warning"})
    assert (await client.call("test_tool_with_logging")).notifications == []


async def test_log_lines_only_for_a_request_that_wants_them(speak: Speak) -> None:
    """In 2026-07-28 the level is part of each request."""
    client = await speak(STATELESS)
    level = {"io.modelcontextprotocol/logLevel": "debug"}
    assert len((await client.call("test_tool_with_logging", level)).notifications) == 3
    assert (await client.call("test_tool_with_logging")).notifications == []


async def test_cache_hints_and_result_types(speak: Speak) -> None:
    """Every list and every read of 2026-07-28 says how long it holds and for whom; discovery is public."""
    client = await speak(STATELESS)
    for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        assert (await client.ask(method)).result["cacheScope"] == "private"
    read = (await client.ask("resources/read", {"uri": "test://static-text"})).result
    assert (read["resultType"], read["cacheScope"]) == ("complete", "private")
    found = (await client.ask("server/discover")).result
    assert found["cacheScope"] == "public"
    assert "io.modelcontextprotocol/tasks" in found["capabilities"]["extensions"]


async def test_wrong_arguments_are_for_the_model_to_read(speak: Speak) -> None:
    """From 2025-11-25 on they are a result with isError; before they were a fault of the protocol."""
    for revision in (STATELESS, *SESSIONS):
        answer = await (await speak(revision)).call("greet", nam="Ada")
        assert ("error" in answer.response) is (revision < "2025-11-25")
