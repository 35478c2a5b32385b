"""Notes, through a server that runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from gatelodge_notes.badges import BadgesPlugin, badge
from gatelodge_notes.commands import notes
from gatelodge_notes.freeze import FreezePlugin
from gatelodge_notes.plugin import NotesPlugin
from mcp import Client
from mcp.types import ElicitResult, ResourceTemplateReference

from gatelodge import ToolError
from gatelodge.testing import Gatelodge, OpenGatelodge

SECRET = "a secret of the badge desk"


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    """A server with the three plugins, which takes any number of calls; ports of 0 are free ones."""
    plugins = (("notes", NotesPlugin), ("notes_freeze", FreezePlugin), ("notes_badges", BadgesPlugin))
    settings = {"MCP_NOTES_PORT": "0", "GATELODGE_NOTES_BADGE_SECRET": SECRET, "MCP_RATE_LIMIT_ENABLED": "false"}
    return await open_gatelodge(*plugins, **settings)


async def test_a_note_is_found_again(gate: Gatelodge) -> None:
    """By a part of its text, in any case, with who wrote it."""
    written = await gate.call("notes.write", text="No releases on Fridays.", topic="releases")
    found = await gate.call("notes.find", text="FRIDAY")
    assert [(note["id"], note["topic"], note["author"]) for note in found["notes"]] == [
        (written["id"], "releases", "local")
    ]


async def test_arguments_are_checked_before_the_tool_sees_them(gate: Gatelodge) -> None:
    """The error names the field."""
    with pytest.raises(ToolError) as caught:
        await gate.call("notes.find", limit=1000)
    assert caught.value.code == "validation_error"
    assert "limit" in caught.value.details["fields"]


async def test_a_dry_run_writes_nothing(gate: Gatelodge) -> None:
    """It says where the note would go."""
    assert await gate.call("notes.write", text="Perhaps", dry_run=True) == {"id": None, "topic": "general"}
    assert await gate.call("notes.find") == {"notes": []}


async def test_a_retry_with_the_same_key_writes_once(gate: Gatelodge) -> None:
    """It gets the first answer again; nothing in the plugin is needed for that."""
    first, second = [await gate.call("notes.write", text="Once", idempotency_key="n-1") for _ in range(2)]
    assert first == second
    assert len((await gate.call("notes.find"))["notes"]) == 1


async def test_a_note_whose_server_died_is_found_by_its_key(gate: Gatelodge, database: str) -> None:
    """The next call with the key gets what the first one made, by reconcile."""
    connection = await asyncpg.connect(database)
    first = await gate.call("notes.write", text="Once", idempotency_key="n-1")
    await connection.execute("UPDATE idempotency_keys SET state = 'unknown', result = NULL")
    await connection.close()
    assert await gate.call("notes.write", text="Once", idempotency_key="n-1") == first


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_user_is_asked_before_notes_are_deleted(gate: Gatelodge, mode: Any) -> None:
    """In both eras of the protocol: the first answer is no, the second is yes."""
    await gate.call("notes.write", text="Old", topic="old")
    answers = [False, True]

    async def fill(context: Any, params: Any) -> ElicitResult:
        assert params.message == "Delete all 1 notes about old?"
        return ElicitResult(action="accept", content={"sure": answers.pop(0)})

    async with Client(f"{gate.url}/mcp", mode=mode, elicitation_callback=fill) as client:
        assert (await client.call_tool("notes.delete_topic", {"topic": "old"})).is_error
        assert (await client.call_tool("notes.delete_topic", {"topic": "old"})).structured_content == {"deleted": 1}


async def test_progress_and_a_log_line_reach_the_client(gate: Gatelodge) -> None:
    """One for each hundred notes, while the words are counted."""
    for number in range(100):
        await gate.call("notes.write", text=f"Note {number}")
    told: list[Any] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Client(f"{gate.url}/mcp") as client:
        counted = await client.call_tool("notes.count_words", progress_callback=step)
    assert counted.structured_content == {"notes": 100, "words": 200}
    assert told == ["100 of 100 notes"]


async def test_topics_can_be_read_completed_and_summed_up(gate: Gatelodge) -> None:
    """As a list, as a page each, and as a prompt; what is typed of a topic is completed."""
    await gate.call("notes.write", text="No releases on Fridays.", topic="releases")
    async with Client(f"{gate.url}/mcp") as client:
        topics = await client.read_resource("notes://topics")
        page = await client.read_resource("notes://topic/releases")
        suggested = await client.complete(
            ResourceTemplateReference(uri="notes://topic/{topic}"), {"name": "topic", "value": "rel"}
        )
        prompt = await client.get_prompt("notes-summary", {"topic": "releases"})
    assert topics.contents[0].text == '["releases"]'
    assert page.contents[0].text == "- No releases on Fridays. (local)"
    assert suggested.completion.values == ["releases"]
    assert "Fridays" in prompt.messages[0].content.text


async def test_a_route_goes_through_the_tool(gate: Gatelodge) -> None:
    """So it is governed as the tool is. The plugin's own listener has it too."""
    await gate.call("notes.write", text="No releases on Fridays.", topic="releases")
    async with gate.session.get(f"{gate.urls['notes']}/notes/releases") as reply:
        assert [note["topic"] for note in (await reply.json())["result"]["notes"]] == ["releases"]


async def test_frozen_notes_are_neither_listed_for_writing_nor_written(gate: Gatelodge) -> None:
    """From the moment the switch is on; readers go on."""
    gate.server.policy.switches.apply({"notes_frozen": True})
    async with gate.session.get(f"{gate.url}/tools") as reply:
        names = {tool["name"] for tool in (await reply.json())["tools"]}
    assert "notes.find" in names
    assert "notes.write" not in names
    with pytest.raises(ToolError, match="frozen"):
        await gate.call("notes.write", text="Too late")


async def test_a_badge_signs_in_to_read(gate: Gatelodge) -> None:
    """With a right one notes can be read and not written; a wrong one is refused and counted."""
    right, wrong = f"ann:{badge(SECRET, 'ann')}", f"ann:{badge('another secret', 'ann')}"
    assert await _status(gate, right, "notes.find", {}) == 200
    assert await _status(gate, right, "notes.write", {"text": "Hello"}) == 403
    assert await _status(gate, wrong, "notes.find", {}) == 401
    async with gate.session.get(f"{gate.url}/metrics") as reply:
        assert "notes_badges_refused_total 1.0" in await reply.text()


async def test_health_shows_the_notebook(gate: Gatelodge) -> None:
    """With what the check answers."""
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        checks = {check["name"]: check for check in (await reply.json())["checks"]}
    assert checks["notebook"]["detail"] == "0 notes of all tenants"


async def test_notes_are_imported_by_a_command(gate: Gatelodge, database: str, tmp_path: Path) -> None:
    """A line, a note."""
    file = tmp_path / "notes.txt"
    file.write_text("One\n\nTwo\n")
    run = CliRunner().invoke
    done = await asyncio.to_thread(run, notes, ["import", str(file)], env={"DATABASE_URL": database})
    assert done.output == "2 notes\n", done.exception
    assert [note["text"] for note in (await gate.call("notes.find"))["notes"]] == ["Two", "One"]


async def _status(gate: Gatelodge, shown: str, tool: str, arguments: Any) -> int:
    body, headers = {"name": tool, "arguments": arguments}, {"X-Notes-Badge": shown}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        return reply.status
