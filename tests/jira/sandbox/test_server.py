"""The server around the operations: who asks, faults on order, what is remembered, bad requests."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from io import BytesIO

import aiohttp
import pytest

from gatelodge_jira.sandbox import Flavour, Sandbox, Story, sandbox

from .conftest import Caller

TOKENS = {"s3cret": "ada", "0ther": "ben"}


def basic(login: str, token: str) -> str:
    return "Basic " + b64encode(f"{login}:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("flavour", "authorization", "who"),
    [
        ("cloud", basic("ada@example.com", "s3cret"), "Ada Novak"),
        ("cloud", basic("ben@example.com", "0ther"), "Ben O'Hara"),
        ("cloud", "Bearer s3cret", "Ada Novak"),
        ("cloud", basic("ben@example.com", "s3cret"), None),
        ("cloud", basic("ada", "s3cret"), None),
        ("datacenter", "Bearer 0ther", "Ben O'Hara"),
        ("datacenter", basic("ada", "s3cret"), "Ada Novak"),
        ("datacenter", "Bearer wrong", None),
        ("datacenter", "Basic ?", None),
        ("cloud", "", None),
    ],
)
async def test_who_asks(story: Story, flavour: Flavour, authorization: str, who: str | None) -> None:
    """With credentials each request must show one of them, or gets 401; what the server is, is open to all."""
    async with (
        sandbox(story, flavour=flavour, credentials=TOKENS) as running,
        aiohttp.ClientSession(running.url, headers={"Authorization": authorization}) as session,
    ):
        call = Caller(session, 2)
        answer = await call("GET", "myself")
        assert (answer.status, answer.body.get("displayName")) == ((401, None) if who is None else (200, who))
        assert (await call("GET", "serverInfo")).status == 200


async def test_changes_are_by_whom_they_are_asked(story: Story) -> None:
    """The reporter, the author of comments, and `currentUser()` are the person of the token."""
    async with (
        sandbox(story, credentials=TOKENS) as running,
        aiohttp.ClientSession(running.url, headers={"Authorization": "Bearer 0ther"}) as session,
    ):
        call = Caller(session, 2)
        fields = {"project": {"key": "PAY"}, "issuetype": {"name": "Task"}, "summary": "Mine"}
        key = (await call("POST", "issue", {"fields": fields})).body["key"]
        said = await call("POST", f"issue/{key}/comment", {"body": "So it is"})
        assert said.body["author"]["displayName"] == "Ben O'Hara"
        assert [it["key"] for it in await call.search("reporter = currentUser() and created > -5m")] == [key]


async def test_failure_on_order(jira: Sandbox, call: Caller) -> None:
    """The next requests that match get the error, with its headers; then all is well again."""
    jira.fail_next(429, {"Retry-After": "3"}, times=2, match="GET .*/myself", message="Slow down")
    assert (await call("GET", "priority")).status == 200
    answers = [await call("GET", "myself") for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].body == {"errorMessages": ["Slow down"], "errors": {}}
    jira.fail_next(503, {"Retry-After": "1"})
    async with aiohttp.ClientSession(jira.url) as session, session.get("/rest/api/3/myself") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(("after", "comments"), [(False, 0), (True, 1)])
async def test_broken_connection(jira: Sandbox, call: Caller, after: bool, comments: int) -> None:
    """The connection breaks before the effect, or after it; the client sees the same."""
    body = {"content": [{"type": "paragraph", "content": [{"type": "text", "text": "x"}]}], "type": "doc", "version": 1}
    before = (await call("GET", "issue/PAY-5/comment")).body["total"]
    jira.drop_next(match="POST", after=after)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call("POST", "issue/PAY-5/comment", {"body": body})
    assert (await call("GET", "issue/PAY-5/comment")).body["total"] == before + comments


async def test_failure_after_the_effect(jira: Sandbox, call: Caller) -> None:
    """An error may come though the work is done."""
    jira.fail_next(500, match="PUT", after=True)
    assert (await call("PUT", "issue/PAY-5", {"fields": {"summary": "Changed"}})).status == 500
    assert (await call("GET", "issue/PAY-5")).body["fields"]["summary"] == "Changed"


async def test_delay(jira: Sandbox, call: Caller) -> None:
    """A delayed request is answered by nothing while others are; clearing takes back what has not come yet."""
    jira.delay(3600, match="/myself")
    waiting = asyncio.ensure_future(call("GET", "myself"))
    await jira.arrival("GET .*/myself")
    assert (await call("GET", "priority")).status == 200
    assert not waiting.done()
    waiting.cancel()
    jira.delay(3600)
    jira.clear_faults()
    assert (await call("GET", "priority")).status == 200


async def test_requests_are_remembered(jira: Sandbox, call: Caller) -> None:
    """Each request is kept with its method, path, query and body, in order."""
    await call("GET", "issue/PAY-1?fields=summary&fields=status")
    await call("POST", "search/approximate-count", {"jql": "project = PAY"})
    first, second = jira.requests
    assert (first.method, first.path, first.query) == ("GET", "/rest/api/3/issue/PAY-1", {"fields": "summary,status"})
    assert (second.path, second.body) == ("/rest/api/3/search/approximate-count", {"jql": "project = PAY"})


async def test_late_index(jira: Sandbox, call: Caller) -> None:
    """While the index lags, a new issue is not found, unless the search is told to reconcile it."""
    jira.lag()
    fields = {"project": {"key": "PAY"}, "issuetype": {"name": "Task"}, "summary": "Zanzibar"}
    made = (await call("POST", "issue", {"fields": fields})).body
    search = {"jql": "summary ~ zanzibar", "fields": ["summary"]}
    assert (await call("POST", "search/jql", search)).body["issues"] == []
    reconciled = await call("POST", "search/jql", {**search, "reconcileIssues": [int(made["id"])]})
    assert [issue["key"] for issue in reconciled.body["issues"]] == [made["key"]]
    jira.lag(False)
    assert len(await call.search("summary ~ zanzibar")) == 1


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"", "application/json", 400),
        (b'"' + b"x" * 5_000_000 + b'"', "application/json", 413),
    ],
)
async def test_bad_body(jira: Sandbox, data: bytes, kind: str, status: int) -> None:
    """What is no JSON object is refused in Jira's shape."""
    async with (
        aiohttp.ClientSession(jira.url, headers={"Content-Type": kind}) as session,
        session.post("/rest/api/3/issue", data=BytesIO(data)) as response,
    ):
        assert response.status == status
        assert set(await response.json()) == {"errorMessages", "errors"}


async def test_scoped_tokens_come_by_the_gateway(story: Story) -> None:
    """The API is also under `/ex/jira/{cloudId}`, where scoped tokens go."""
    async with (
        sandbox(story, credentials=TOKENS) as running,
        aiohttp.ClientSession(running.url, headers={"Authorization": "Bearer s3cret"}) as session,
        session.get("/ex/jira/11223344-a1b2-3b33-c444-def123456789/rest/api/3/myself") as response,
    ):
        assert response.status == 200


async def test_sandboxes_share_nothing(story: Story) -> None:
    """A change in one sandbox is not in another of the same story."""
    async with sandbox(story) as one, sandbox(story) as other, aiohttp.ClientSession() as session:
        async with session.put(f"{one.url}/rest/api/3/issue/WEB-1", json={"fields": {"summary": "Mine"}}) as response:
            assert response.status == 204
        assert one.site.issues["WEB-1"].values["summary"] == "Mine"
        assert other.site.issues["WEB-1"].values["summary"] != "Mine"


async def test_taken_port(jira: Sandbox, story: Story) -> None:
    """A port that is taken is an `OSError`."""
    with pytest.raises(OSError, match="address already in use"):
        async with sandbox(story, port=int(jira.url.rpartition(":")[2])):
            pass
