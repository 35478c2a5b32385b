"""Each operation of the sandbox, over HTTP, against what Jira does."""

from __future__ import annotations

from typing import Any

import pytest

from gatelodge_jira.sandbox import Sandbox, Story
from gatelodge_jira.sandbox.routes import CLOUD, EVERYWHERE

from ..openapi_check import OpenAPICheck, operations
from .conftest import Caller

BUG = {"project": {"key": "PAY"}, "issuetype": {"name": "Bug"}, "summary": "The till rings twice"}


def adf(words: str) -> dict[str, Any]:
    content = [{"type": "paragraph", "content": [{"type": "text", "text": words}]}]
    return {"type": "doc", "version": 1, "content": content}


async def made(call: Caller, **fields: Any) -> str:
    """The key of a new bug."""
    answer = await call("POST", "issue", {"fields": {**BUG, **fields}})
    assert answer.status == 201, answer.body
    return str(answer.body["key"])


async def fields_of(call: Caller, key: str) -> dict[str, Any]:
    fields: dict[str, Any] = (await call("GET", f"issue/{key}")).body["fields"]
    return fields


READS = [
    "search/jql?jql=project%3DPAY&fields=summary&fields=status&maxResults=3&expand=names,schema",
    "issue/PAY-30?expand=changelog,transitions,names,schema,editmeta,renderedFields",
    "issue/PAY-30/transitions?expand=transitions.fields",
    "issue/PAY-30/comment?maxResults=2&orderBy=-created",
    "issue/PAY-30/changelog?maxResults=1",
    "issue/PAY-30/editmeta",
    "issueLinkType",
    "issueLink/10001",
    "issuetype",
    "issue/createmeta/PAY/issuetypes",
    "issue/createmeta/10002/issuetypes/10004?maxResults=200",
    "myself",
    "serverInfo",
    "project/search?query=pay&maxResults=1",
    "project/WEB",
    "field",
    "priority",
    "status",
    "user/search?query=ada",
]
POSTS: list[tuple[str, dict[str, Any]]] = [
    ("search/jql", {"jql": "project = OPS", "fields": ["*all"], "maxResults": 5}),
    ("search/approximate-count", {"jql": "project = OPS"}),
    ("issue/bulkfetch", {"issueIdsOrKeys": ["PAY-1", "PAY-2", "NO-1"], "fields": ["summary"]}),
    ("changelog/bulkfetch", {"issueIdsOrKeys": ["PAY-30", "PAY-31"], "fieldIds": ["status"], "maxResults": 2}),
    (
        "jql/parse?validation=strict",
        {
            "queries": [
                "a = b",
                'not (status in ("To Do", Done) or due < now()) and assignee is EMPTY order by key desc',
            ]
        },
    ),
]


@pytest.mark.parametrize("path", READS)
async def test_reads_fit_the_description(call: Caller, path: str) -> None:
    """Each reading operation answers 200 with what Atlassian describes."""
    assert (await call("GET", path)).status == 200


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_posted_reads_fit_the_description(call: Caller, path: str, body: dict[str, Any]) -> None:
    """So does each one that asks by POST."""
    assert (await call("POST", path, body)).status == 200


async def test_check_finds_what_does_not_fit(jira: Sandbox, call: Caller) -> None:
    """The check is no rubber stamp: unknown operations, parameters, bodies and replies are violations."""
    check = OpenAPICheck()
    (await call("GET", "myself?expand=groups"))
    good = jira.requests[-1]
    check(good, 200, {"accountId": "a"})
    assert check.violations == []
    check(good, 200, {"accountId": 7})
    check(good, 200, {"unheard": "of"})
    check(good, 418, "teapot")
    check(type(good)(method="GET", path="/rest/api/3/myself", query={"x": "1"}, body=None), 200, {})
    check(type(good)(method="GET", path="/rest/api/3/nowhere", query={}, body=None), 200, {})
    check(type(good)(method="POST", path="/rest/api/3/search/jql", query={}, body={"jqll": ""}), 200, {"issues": []})
    assert len(check.violations) == 6


def test_every_described_operation_is_served() -> None:
    """Whatever Atlassian's description holds has a route in the Cloud's sandbox."""
    served = [(method, f"/rest/api/3/{path}") for method, path, _ in (*CLOUD, *EVERYWHERE)]
    for described in operations():
        assert any(described.method == method and described.path.fullmatch(path) for method, path in served)


async def test_created_issue_is_read_back(call: Caller) -> None:
    """What is created is there at once, with its defaults, and the document as it was sent."""
    sent = adf("Twice, I say")
    key = await made(
        call,
        description=sent,
        labels=["b", "a"],
        duedate="2026-12-01",
        customfield_10016=3,
        customfield_10001={"value": "Ledger"},
    )
    fields = await fields_of(call, key)
    assert fields["description"] == sent
    assert (fields["labels"], fields["duedate"], fields["customfield_10016"]) == (["a", "b"], "2026-12-01", 3.0)
    assert fields["customfield_10001"]["value"] == "Ledger"
    assert (fields["status"]["name"], fields["priority"]["name"]) == ("To Do", "Medium")
    assert fields["reporter"]["displayName"] == "Ada Novak"
    assert [issue["key"] for issue in await call.search("summary ~ 'till rings'")] == [key]


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({"summary": ""}, "summary"),
        ({"summary": "x" * 256}, "summary"),
        ({"summary": "two\nlines"}, "summary"),
        ({"summary": 5}, "summary"),
        ({"project": {"key": "NONE"}}, "project"),
        ({"issuetype": {"name": "Incident"}}, "issuetype"),
        ({"issuetype": {"name": "Sub-task"}}, "parent"),
        ({"description": "plain words"}, "description"),
        ({"description": {"type": "doc", "version": 1, "content": [{"type": "text", "text": ""}]}}, "description"),
        ({"priority": {"name": "Urgent"}}, "priority"),
        ({"assignee": {"accountId": "nobody"}}, "assignee"),
        ({"assignee": {"name": "ada"}}, "assignee"),
        ({"labels": ["a b"]}, "labels"),
        ({"duedate": "tomorrow"}, "duedate"),
        ({"customfield_10016": "3"}, "customfield_10016"),
        ({"customfield_99999": 1}, "customfield_99999"),
        ({"status": {"name": "Done"}}, "status"),
        ({"parent": {"key": "PAY-99999"}}, "parent"),
    ],
)
async def test_bad_field_is_named(jira: Sandbox, call: Caller, fields: dict[str, Any], bad: str) -> None:
    """A bad value is refused with 400 under the field's id, and nothing is created."""
    before = len(jira.site.issues)
    answer = await call("POST", "issue", {"fields": {**BUG, **fields}})
    assert (answer.status, list(answer.body["errors"])) == (400, [bad])
    assert len(jira.site.issues) == before


async def test_edit_writes_the_changelog(call: Caller) -> None:
    """An edit answers 204; the history has each field that changed with what it was and is, and no other."""
    key = await made(call, priority={"name": "Low"}, labels=["a"])
    body = {
        "fields": {"summary": BUG["summary"], "priority": {"id": "2"}, "assignee": {"id": None}},
        "update": {"labels": [{"add": "b"}, {"remove": "a"}]},
        "transition": {"id": "11"},
    }
    assert (await call("PUT", f"issue/{key}?notifyUsers=false", body)).status == 204
    (change,) = (await call("GET", f"issue/{key}/changelog")).body["values"]
    told = {item["fieldId"]: (item["fromString"], item["toString"]) for item in change["items"]}
    assert told == {"priority": ("Low", "High"), "labels": ("a", "b")}
    assert (await fields_of(call, key))["status"]["name"] == "To Do"


async def test_edit_of_a_field_twice_is_refused(call: Caller) -> None:
    """A field may not be in both `fields` and `update`."""
    key = await made(call)
    body = {"fields": {"labels": ["a"]}, "update": {"labels": [{"add": "b"}]}}
    for method, path in (("PUT", f"issue/{key}"), ("POST", f"issue/{key}/transitions")):
        answer = await call(method, path, {**body, "transition": {"id": "11"}})
        assert (answer.status, list(answer.body["errors"])) == (400, ["labels"])


async def test_transitions_of_a_status(call: Caller) -> None:
    """Only what leaves the status is listed, with the fields that it asks for."""
    key = await made(call)
    listed = (await call("GET", f"issue/{key}/transitions?expand=transitions.fields")).body["transitions"]
    assert [(step["id"], step["to"]["name"]) for step in listed] == [("11", "In Progress"), ("71", "Done")]
    assert listed[1]["fields"]["resolution"]["required"] is True
    one = (await call("GET", f"issue/{key}/transitions?transitionId=11")).body["transitions"]
    assert [step["name"] for step in one] == ["Start progress"]


async def test_unknown_and_forbidden_transitions_are_not_listed(call: Caller, story: Story) -> None:
    """Asking for a transition that is unknown, or the lead's alone, gives an empty list; taking it gives 400."""
    resolved = next(issue.key for issue in story.issues if issue.status == "Resolved")
    for id in ("7", "999"):
        answer = await call("GET", f"issue/{resolved}/transitions?transitionId={id}")
        assert (answer.status, answer.body["transitions"]) == (200, [])
        answer = await call("POST", f"issue/{resolved}/transitions", {"transition": {"id": id}})
        assert (answer.status, len(answer.body["errorMessages"])) == (400, 1)


async def test_transition_with_fields_and_comment(call: Caller) -> None:
    """A required field must come; with it the issue is resolved, and the comment is there."""
    key = await made(call)
    move: dict[str, Any] = {"transition": {"id": "71"}, "update": {"comment": [{"add": {"body": adf("No")}}]}}
    answer = await call("POST", f"issue/{key}/transitions", move)
    assert (answer.status, list(answer.body["errors"])) == (400, ["resolution"])
    answer = await call("POST", f"issue/{key}/transitions", {**move, "fields": {"resolution": {"name": "Duplicate"}}})
    assert answer.status == 204
    fields = await fields_of(call, key)
    assert (fields["status"]["name"], fields["resolution"]["name"]) == ("Done", "Duplicate")
    assert fields["resolutiondate"] is not None
    assert [said["body"] for said in fields["comment"]["comments"]] == [adf("No")]
    assert (await call("POST", f"issue/{key}/transitions", {"transition": {"id": "81"}})).status == 204
    fields = await fields_of(call, key)
    assert (fields["status"]["name"], fields["resolution"], fields["resolutiondate"]) == ("To Do", None, None)


async def test_field_off_the_transition_screen_is_refused(call: Caller) -> None:
    """A transition takes only the fields of its screen."""
    key = await made(call)
    body = {"transition": {"id": "11"}, "fields": {"resolution": {"name": "Done"}}}
    answer = await call("POST", f"issue/{key}/transitions", body)
    assert "not on the appropriate screen" in answer.body["errors"]["resolution"]


async def test_link_direction(call: Caller) -> None:
    """With A as inward and B as outward issue, A blocks B."""
    a, b = await made(call), await made(call)
    body = {"type": {"name": "Blocks"}, "inwardIssue": {"key": a}, "outwardIssue": {"key": b}}
    assert (await call("POST", "issueLink", body)).status == 201
    (of_a,), (of_b,) = (await fields_of(call, a))["issuelinks"], (await fields_of(call, b))["issuelinks"]
    assert (of_a["type"]["outward"], of_a["outwardIssue"]["key"], "inwardIssue" in of_a) == ("blocks", b, False)
    assert (of_b["type"]["inward"], of_b["inwardIssue"]["key"], "outwardIssue" in of_b) == ("is blocked by", a, False)
    found = await call.search(f"issue in linkedIssues({b}, 'is blocked by')")
    assert [issue["key"] for issue in found] == [a]
    assert (await call("DELETE", f"issueLink/{of_a['id']}")).status == 204
    assert (await fields_of(call, a))["issuelinks"] == []


async def test_duplicate_link_adds_its_comment_again(call: Caller) -> None:
    """The same link once more answers 201 too: there is still one link, but two comments."""
    a, b = await made(call), await made(call)
    body = {
        "type": {"name": "Relates"},
        "inwardIssue": {"key": a},
        "outwardIssue": {"key": b},
        "comment": {"body": adf("See")},
    }
    assert [(await call("POST", "issueLink", body)).status for _ in range(2)] == [201, 201]
    fields = await fields_of(call, a)
    assert (len(fields["issuelinks"]), fields["comment"]["total"]) == (1, 2)


async def test_comments(call: Caller) -> None:
    """A comment keeps its document and its visibility; one without a body is refused."""
    key = await made(call)
    visibility = {"type": "role", "value": "Administrators"}
    answer = await call("POST", f"issue/{key}/comment", {"body": adf("Hm"), "visibility": visibility})
    assert (answer.status, answer.body["body"], answer.body["visibility"]) == (201, adf("Hm"), visibility)
    for body in ({}, {"body": "words"}, {"body": {"type": "doc", "version": 1, "content": []}}):
        answer = await call("POST", f"issue/{key}/comment", body)
        assert (answer.status, list(answer.body["errors"])) == (400, ["comment"])
    page = (await call("GET", f"issue/{key}/comment")).body
    assert (page["total"], len(page["comments"])) == (1, 1)


async def test_changelog_pages(call: Caller, story: Story) -> None:
    """The pages of a history, put together, are the story's changes from the oldest."""
    told = max(story.issues, key=lambda issue: len(issue.changes))
    moves, start, last = [], 0, False
    while not last:
        page = (await call("GET", f"issue/{told.key}/changelog?maxResults=2&startAt={start}")).body
        moves += [change["items"][0]["toString"] for change in page["values"]]
        start, last = start + 2, page["isLast"]
    assert moves == [change.after for change in told.changes]


async def test_only_the_lead_deletes(call: Caller) -> None:
    """Deleting answers 204 for the project's lead and 403 for others; then the issue is gone."""
    key = await made(call)
    assert (await call("DELETE", f"issue/{key}")).status == 204
    assert (await call("GET", f"issue/{key}")).status == 404
    assert (await call("DELETE", "issue/OPS-1")).status == 403
    assert await call.search("key = PAY-1 and summary ~ 'zzz'") == []


async def test_what_is_not_there(call: Caller) -> None:
    """404 comes in Jira's shape."""
    for method, path in (("GET", "issue/PAY-99999"), ("GET", "issueLink/1"), ("GET", "project/NONE")):
        answer = await call(method, path)
        assert (answer.status, len(answer.body["errorMessages"]), answer.body["errors"]) == (404, 1, {})
