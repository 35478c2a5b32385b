"""The five tools that write, against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gatelodge import ErrorCode, ToolError
from gatelodge_jira.sandbox import Sandbox, Story

from ..plugin_gate import PluginGate
from .desk import desk, sent

NEW = {"project_key": "PAY", "issue_type": "bug", "summary": "Card form freezes"}


@pytest.fixture
async def gate(database: str, jira: Sandbox) -> AsyncIterator[PluginGate]:
    async with desk(database, JIRA_URL=jira.url) as opened:
        yield opened


@pytest.fixture
def key(story: Story) -> str:
    """An issue of PAY that is still to do."""
    return next(issue.key for issue in story.issues if issue.project == "PAY" and issue.status == "To Do")


async def stored(jira: Sandbox, key: str) -> dict[str, Any]:
    """The fields as the sandbox itself shows them."""
    url = f"{jira.url}/rest/api/3/issue/{key}"
    async with aiohttp.ClientSession() as session, session.get(url, params={"fields": "*all"}) as reply:
        return dict((await reply.json())["fields"])


async def refused(gate: PluginGate, tool: str, **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await gate.answer(tool, **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("jira.create_issue", NEW),
        ("jira.update_issue", {"issue_key": "PAY-1", "fields": {"summary": "x"}}),
        ("jira.transition_issue", {"issue_key": "{key}", "to_status": "In Progress"}),
        ("jira.add_comment", {"issue_key": "PAY-1", "body": "x"}),
        ("jira.link_issues", {"source": "{key}", "target": "WEB-1", "link_type": "blocks"}),
    ],
)
async def test_a_dry_run_says_what_it_would_send_and_sends_nothing(
    gate: PluginGate, jira: Sandbox, key: str, tool: str, arguments: dict[str, Any]
) -> None:
    """The preview is the very request that is sent when it is meant."""
    arguments = {name: key if value == "{key}" else value for name, value in arguments.items()}
    preview = await gate.answer(tool, dry_run=True, **arguments)
    assert not [request for request in jira.requests if request.method != "GET"]
    await gate.answer(tool, **arguments)
    (request,) = [request for request in jira.requests if request.method != "GET"]
    (shown,) = preview["would_send"]
    assert (shown["method"], shown["path"], shown["body"]) == (request.method, request.path, request.body)


async def test_names_become_what_jira_wants(gate: PluginGate, jira: Sandbox) -> None:
    """A type and fields by name in any case, Markdown as a document, a parent by key."""
    created = await gate.answer(
        "jira.create_issue",
        **NEW,
        description="**bold** and @nobody <b>",
        fields={"priority": "High", "Story Points": 3, "labels": ["a"]},
    )
    fields = await stored(jira, created["issue_key"])
    assert fields["issuetype"]["name"] == "Bug"
    assert fields["priority"]["name"] == "High"
    assert fields["description"]["content"][0]["content"][0]["marks"] == [{"type": "strong"}]
    assert fields["customfield_10016"] == 3
    assert created["url"] == f"{jira.url}/browse/{created['issue_key']}"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({**NEW, "issue_type": "Bugg"}, "issue_type"),
        ({**NEW, "summary": ""}, "summary"),
        ({**NEW, "summary": "a\nb"}, "summary"),
        ({**NEW, "summary": "x" * 256}, "summary"),
        ({**NEW, "fields": {"Colour": "red"}}, "fields.Colour"),
        ({**NEW, "fields": {"summary": "twice"}}, "fields.summary"),
        ({**NEW, "fields": {"priority": "Sky-high"}}, "fields.priority"),
        ({**NEW, "fields": {"Story Points": "many"}}, "fields.Story Points"),
        ({**NEW, "description": "a", "description_adf": {"type": "doc", "content": []}}, "description_adf"),
        ({**NEW, "description_adf": {"type": "paragraph"}}, "description_adf"),
        ({**NEW, "fields": {str(n): n for n in range(51)}}, "fields"),
    ],
)
async def test_a_create_that_cannot_be_is_refused_by_argument(
    gate: PluginGate, arguments: dict[str, Any], field: str
) -> None:
    """Ours or Jira's own complaint, it names the argument as the caller wrote it."""
    error = await refused(gate, "jira.create_issue", **arguments)
    assert error.code is ErrorCode.VALIDATION_ERROR
    assert field in error.details["fields"]


async def test_an_update_tells_the_audit_before_and_after(gate: PluginGate, jira: Sandbox, key: str) -> None:
    """The result carries the old and the new values of just the fields that were set."""
    old = (await stored(jira, key))["summary"]
    result = await gate.call("jira.update_issue", {"issue_key": key, "fields": {"summary": "New words"}})
    assert (result.before, result.after) == ({"summary": old}, {"summary": "New words"})
    assert "before" not in result.structured


async def test_null_clears_a_field(gate: PluginGate, jira: Sandbox, story: Story) -> None:
    """An assignee set to null is nobody."""
    key = next(issue.key for issue in story.issues if issue.assignee)
    await gate.answer("jira.update_issue", issue_key=key, fields={"assignee": None})
    assert (await stored(jira, key))["assignee"] is None


async def test_a_status_is_not_a_field_to_update(gate: PluginGate) -> None:
    """Jira would ignore it; here the error names the tool to use."""
    error = await refused(gate, "jira.update_issue", issue_key="PAY-1", fields={"status": "Done"})
    assert "jira.transition_issue" in error.message


@pytest.mark.parametrize("wanted", ["In Progress", "in progress"])
async def test_an_issue_moves_by_the_name_of_a_status(gate: PluginGate, jira: Sandbox, key: str, wanted: str) -> None:
    """In any case, with a comment that is added along."""
    moved = await gate.answer("jira.transition_issue", issue_key=key, to_status=wanted, comment="On *it*.")
    assert (moved["from_status"], moved["to_status"]) == ("To Do", "In Progress")
    fields = await stored(jira, key)
    assert fields["status"]["name"] == "In Progress"
    assert fields["comment"]["total"] >= 1


async def test_a_status_that_is_not_open_is_refused_with_those_that_are(gate: PluginGate, key: str) -> None:
    """The model can choose from the error."""
    error = await refused(gate, "jira.transition_issue", issue_key=key, to_status="Nowhere")
    assert "In Progress" in error.details["fields"]["to_status"][0]


async def test_a_required_field_of_the_screen_is_asked_for(gate: PluginGate, jira: Sandbox, story: Story) -> None:
    """Without it nothing is sent, and the error names it; with it, by name, the issue moves."""
    found = None
    for issue in [item for item in story.issues if item.category != "done"][:400]:
        ways = (await gate.answer("jira.list_transitions", issue_key=issue.key))["transitions"]
        found = next(((issue.key, way) for way in ways if any(f["required"] for f in way["fields"])), None)
        if found:
            break
    assert found, "the story has no transition with a required field"
    key, way = found
    field = next(item for item in way["fields"] if item["required"])
    error = await refused(gate, "jira.transition_issue", issue_key=key, to_status=way["id"])
    assert error.details["required"] == [field["name"]]
    assert not sent(jira, "POST")
    value = field["allowed"][0] if field["allowed"] else "because"
    await gate.answer("jira.transition_issue", issue_key=key, to_status=way["id"], fields={field["name"]: value})


async def test_a_field_that_is_not_on_the_screen_is_not_ignored(gate: PluginGate, key: str) -> None:
    """Jira would drop it or fail; here it is refused by name."""
    error = await refused(
        gate, "jira.transition_issue", issue_key=key, to_status="In Progress", fields={"Story Points": 3}
    )
    assert "fields.Story Points" in error.details["fields"]


@pytest.mark.parametrize(
    ("phrase", "outward"), [("Blocks", True), ("blocks", True), ("is blocked by", False), ("IS BLOCKED BY", False)]
)
async def test_a_link_reads_as_the_sentence_it_was_given(
    gate: PluginGate, jira: Sandbox, phrase: str, outward: bool
) -> None:
    """ "source blocks target" shows target as the outward issue of source; the inverse phrase the other way round."""
    created = (await gate.answer("jira.create_issue", **NEW))["issue_key"]
    linked = await gate.answer("jira.link_issues", source=created, link_type=phrase, target="WEB-1")
    (link,) = (await stored(jira, created))["issuelinks"]
    assert link["outwardIssue" if outward else "inwardIssue"]["key"] == "WEB-1"
    assert linked["link_id"] == link["id"]
    assert linked["sentence"] == f"{created} {'blocks' if outward else 'is blocked by'} WEB-1"


async def test_the_same_link_is_not_made_twice(gate: PluginGate, jira: Sandbox) -> None:
    """The second call finds the first one's link and sends nothing."""
    created = (await gate.answer("jira.create_issue", **NEW))["issue_key"]
    first = await gate.answer("jira.link_issues", source=created, link_type="Blocks", target="WEB-1")
    again = await gate.answer("jira.link_issues", source=created, link_type="blocks", target="WEB-1", comment="again")
    assert (first["existed"], again["existed"]) == (False, True)
    assert again["link_id"] == first["link_id"]
    assert len(sent(jira, "POST")) == 2  # the issue and one link


async def test_an_unknown_link_type_lists_those_there_are(gate: PluginGate) -> None:
    """With both phrases of each."""
    error = await refused(gate, "jira.link_issues", source="PAY-1", link_type="hugs", target="PAY-2")
    assert "is blocked by" in error.message


async def test_a_comment_needs_exactly_one_body(gate: PluginGate) -> None:
    """Neither or both is a validation error."""
    assert "body" in (await refused(gate, "jira.add_comment", issue_key="PAY-1")).details["fields"]
    both = {"body": "a", "body_adf": {"type": "doc", "version": 1, "content": []}}
    assert "body_adf" in (await refused(gate, "jira.add_comment", issue_key="PAY-1", **both)).details["fields"]


@pytest.mark.parametrize(
    ("tool", "arguments", "match"),
    [
        ("jira.create_issue", {**NEW, "description": "x"}, "POST /rest/api/3/issue$"),
        ("jira.add_comment", {"issue_key": "PAY-1", "body": "x"}, "/comment$"),
        ("jira.link_issues", {"source": "PAY-1", "link_type": "blocks", "target": "WEB-700"}, "/issueLink$"),
        ("jira.transition_issue", {"issue_key": "{key}", "to_status": "In Progress"}, "POST .*/transitions$"),
        ("jira.update_issue", {"issue_key": "PAY-1", "fields": {"priority": "Low", "summary": "y"}}, "PUT "),
    ],
)
async def test_an_effect_whose_answer_was_lost_is_found_again(
    gate: PluginGate, jira: Sandbox, key: str, tool: str, arguments: dict[str, Any], match: str
) -> None:
    """`reconcile` finds what the call has made, by its mark or by itself, and nothing before it was made."""
    arguments = {name: key if value == "{key}" else value for name, value in arguments.items()}
    assert await gate.reconcile(tool, arguments, key="k-1") is None
    tries = 2 if match == "PUT " else 1  # a PUT is idempotent: HTTP lets the client send it again on a new connection
    jira.drop_next(match=match, after=True, times=tries)
    lost = await gate.call(tool, arguments, key="k-1")
    assert lost.error is not None
    assert lost.error.code is ErrorCode.NETWORK_ERROR
    found = await gate.reconcile(tool, arguments, key="k-1")
    assert found is not None
    assert found.structured["issue_key"]
    writes = [
        request for request in jira.requests if request.method in ("POST", "PUT") and "search" not in request.path
    ]
    assert len(writes) == tries
