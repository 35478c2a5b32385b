"""What the Jira and SQL plugins offer besides tools, to the official client: resources, prompts, completion."""

from __future__ import annotations

import pytest
from mcp import Client, MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from .conftest import World


async def test_an_issue_is_read_as_markdown(world: World) -> None:
    """With its summary and its description."""
    issue = world.story.issues[20]
    async with Client(f"{world.gate.url}/mcp") as client:
        (contents,) = (await client.read_resource(f"jira://issue/{issue.key}")).contents
    assert contents.mime_type == "text/markdown"
    assert contents.text.startswith(f"# {issue.key}: {issue.summary}")


async def test_a_table_and_a_template_are_described(world: World) -> None:
    """The columns come from the database itself, the statement from the file."""
    async with Client(f"{world.gate.url}/mcp") as client:
        (schema,) = (await client.read_resource("sql://schema/work_items")).contents
        (template,) = (await client.read_resource("sql://template/get_user_workload")).contents
    assert "- issue_key: text" in schema.text
    assert "FROM work_items" in template.text


@pytest.mark.parametrize("uri", ["jira://issue/nope", "sql://schema/api_keys", "sql://template/nope"])
async def test_what_is_not_there_is_an_error(world: World, uri: str) -> None:
    """Also a table that is no business of a model."""
    async with Client(f"{world.gate.url}/mcp") as client:
        with pytest.raises(MCPError):
            await client.read_resource(uri)


async def test_prompts_name_the_project(world: World) -> None:
    """Each of the three gives one message for the model to follow."""
    async with Client(f"{world.gate.url}/mcp") as client:
        names = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert names == {"triage-backlog", "release-note", "explain-trend"}
        for name in names:
            (message,) = (await client.get_prompt(name, {"project": "PAY"})).messages
            assert "PAY" in message.content.text


async def test_a_backlog_is_narrowed(world: World) -> None:
    """To a status and a person, in JQL that Jira takes whatever their names hold."""
    async with Client(f"{world.gate.url}/mcp") as client:
        given = {"project": "PAY", "status": "In Progress", "assignee": 'Ada "A\\" Novak'}
        (message,) = (await client.get_prompt("triage-backlog", given)).messages
    query = 'project = PAY AND status = "In Progress" AND assignee = "Ada \\"A\\\\\\" Novak" ORDER BY created'
    assert f"{query}\n" in message.content.text


async def test_names_are_completed(world: World) -> None:
    """Statuses and people of Jira, and the projects that the tables hold; nobody is named before a letter is typed."""
    async with Client(f"{world.gate.url}/mcp") as client:

        async def complete(prompt: str, argument: str, value: str) -> list[str]:
            reference = PromptReference(type="ref/prompt", name=prompt)
            return (await client.complete(reference, {"name": argument, "value": value})).completion.values

        assert "In Progress" in await complete("triage-backlog", "status", "in p")
        assert await complete("triage-backlog", "assignee", "ada") == ["Ada Novak"]
        assert await complete("triage-backlog", "assignee", "") == []
        assert await complete("explain-trend", "project", "w") == ["WEB"]


async def test_keys_are_completed(world: World) -> None:
    """Projects for a prompt, projects and then issues for a resource, templates by name."""
    async with Client(f"{world.gate.url}/mcp") as client:
        prompt = PromptReference(type="ref/prompt", name="triage-backlog")
        projects = await client.complete(prompt, {"name": "project", "value": "p"})
        assert projects.completion.values == ["PAY"]
        issue = ResourceTemplateReference(type="ref/resource", uri="jira://issue/{key}")
        assert (await client.complete(issue, {"name": "key", "value": "W"})).completion.values == ["WEB-"]
        keys = (await client.complete(issue, {"name": "key", "value": "WEB-7"})).completion.values
        assert keys
        assert all(key.startswith("WEB-7") for key in keys)
        template = ResourceTemplateReference(type="ref/resource", uri="sql://template/{name}")
        found = (await client.complete(template, {"name": "name", "value": "get_u"})).completion.values
        assert found == ["get_user_workload"]
