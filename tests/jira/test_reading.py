"""`jira.search`, `jira.get_issue` and `jira.list_transitions` against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from gatelodge import ErrorCode, ToolError
from gatelodge_jira.sandbox import Sandbox, Story

from ..plugin_gate import PluginGate
from .desk import desk

OTHER_TENANT = UUID(int=77)
PAY = "project = PAY ORDER BY created ASC"


@pytest.fixture
async def gate(database: str, jira: Sandbox) -> AsyncIterator[PluginGate]:
    async with desk(database, JIRA_URL=jira.url) as opened:
        yield opened


async def test_pages_hold_every_issue_once_and_in_order(gate: PluginGate, story: Story) -> None:
    """Following the cursor to its end gives all matching issues, none twice."""
    keys: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await gate.answer("jira.search", query=PAY, limit=100, fields=["created"], **cursor)
        keys += [issue["key"] for issue in page["issues"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert len(keys) == len(set(keys))
    assert set(keys) == {issue.key for issue in story.issues if issue.project == "PAY"}


async def test_the_count_is_labelled_as_an_estimate(gate: PluginGate, story: Story) -> None:
    """`count` adds how many issues match, and says that Cloud only estimates it."""
    page = await gate.answer("jira.search", query="project = OPS", limit=1, count=True)
    assert page["total"] == sum(issue.project == "OPS" for issue in story.issues)
    assert page["total_is_estimate"] is True


async def test_fields_are_found_by_name_and_only_they_are_answered(gate: PluginGate) -> None:
    """A custom field may be asked for by its name, and comes with that name."""
    page = await gate.answer(
        "jira.search", query='project = PAY AND "Story Points" IS NOT EMPTY', limit=1, fields=["story points"]
    )
    (issue,) = page["issues"]
    ((field, name),) = issue["names"].items()
    assert name == "Story Points"
    assert set(issue["fields"]) == {field}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"query": "order by created"}, "query"),
        ({"query": "project = PAY AND"}, "query"),
        ({"query": "colour = blue"}, "query"),
        ({"query": PAY, "limit": 0}, "limit"),
        ({"query": PAY, "limit": 101}, "limit"),
        ({"query": PAY, "limit": "5"}, "limit"),
        ({"query": PAY, "fields": ["Story Pionts"]}, "fields.0"),
        ({"query": PAY, "fields": []}, "fields"),
        ({"query": PAY, "cursor": "bm90IG91cnM="}, "cursor"),
        ({"query": PAY, "instance_id": "elsewhere"}, "instance_id"),
        ({"query": PAY, "jql": PAY}, "jql"),
        ({}, "query"),
    ],
)
async def test_bad_input_is_named(gate: PluginGate, arguments: dict[str, object], field: str) -> None:
    """Whatever is wrong with a search, the error is a validation_error that names the argument."""
    with pytest.raises(ToolError) as caught:
        await gate.answer("jira.search", **arguments)
    assert caught.value.code is ErrorCode.VALIDATION_ERROR
    assert field in caught.value.details["fields"]


async def test_a_cursor_works_only_for_its_tenant_and_query(gate: PluginGate) -> None:
    """Another tenant, another query or other fields are refused."""
    cursor = (await gate.answer("jira.search", query=PAY, limit=1))["cursor"]
    for arguments, tenant in [
        ({"query": PAY}, OTHER_TENANT),
        ({"query": "project = WEB"}, UUID(int=1)),
        ({"query": PAY, "fields": ["summary"]}, UUID(int=1)),
    ]:
        with pytest.raises(ToolError, match="cursor"):
            await gate.answer("jira.search", tenant=tenant, cursor=cursor, **arguments)


async def test_nothing_bulky_comes_unasked(gate: PluginGate, story: Story) -> None:
    """Without `expand` an issue has no comments, history or transitions; with it, it has all of them."""
    issue = next(item for item in story.issues if item.remarks and len(item.changes) > 1)
    plain = await gate.answer("jira.get_issue", issue_key=issue.key)
    assert {"comments", "changelog", "transitions", "description_adf"}.isdisjoint(plain)
    assert "comment" not in plain["fields"]
    full = await gate.answer("jira.get_issue", issue_key=issue.key, expand=["comments", "changelog", "adf"])
    assert full["comments"]["total"] == len(issue.remarks)
    moves = [c["to"] for h in full["changelog"] for c in h["changes"] if c["field"] == "status"]
    assert moves == [change.after for change in issue.changes]
    assert full["description_adf"] == issue.description


async def test_an_issue_that_is_not_there_is_not_found(gate: PluginGate) -> None:
    """The error says that it may also be hidden, and keeps Jira's own words."""
    with pytest.raises(ToolError, match="may not see it") as caught:
        await gate.answer("jira.get_issue", issue_key="PAY-99999")
    assert caught.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("key", ["pay-1", "PAY1", "PAY-01", "PAY-1\n", "../x-1", "P-1"])
async def test_a_key_has_the_form_that_jira_allows(gate: PluginGate, key: str) -> None:
    """Nothing else reaches a path."""
    with pytest.raises(ToolError) as caught:
        await gate.answer("jira.get_issue", issue_key=key)
    assert list(caught.value.details["fields"]) == ["issue_key"]


async def test_transitions_come_with_their_required_fields(gate: PluginGate, story: Story) -> None:
    """Each transition says where it leads and what its screen requires."""
    issue = next(item for item in story.issues if item.project == "PAY" and item.status == "In Review")
    found = await gate.answer("jira.list_transitions", issue_key=issue.key)
    assert found["status"] == "In Review"
    assert {"Done", "In Progress"} <= {item["to_status"] for item in found["transitions"]}
