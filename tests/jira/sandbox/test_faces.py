"""The same Jira in the words of the Cloud's third and second API and of a Data Center's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge_jira.sandbox import Sandbox
from gatelodge_jira.sandbox.bodies import as_adf, as_wiki, is_document

from .conftest import Caller


@pytest.fixture
async def call_v2(jira: Sandbox) -> AsyncIterator[Caller]:
    """The second API of the Cloud."""
    async with aiohttp.ClientSession(jira.url) as session:
        yield Caller(session, 2)


def told(value: Any) -> Any:
    """An answer without what differs by design: addresses, people's ids, rich text, and what only the Cloud adds."""
    dropped = {
        "self", "avatarUrls", "iconUrl", "accountId", "accountType", "body", "description", "environment",
        "customfield_10050", "jsdPublic", "fieldId", "hierarchyLevel", "simplified",
    }  # fmt: skip
    if isinstance(value, dict):
        person = {"name", "key"} if "displayName" in value else set()
        return {name: told(one) for name, one in value.items() if name not in dropped | person}
    return [told(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("key", ["PAY-1", "PAY-300", "WEB-20", "OPS-650"])
async def test_an_issue_is_the_same_everywhere(call: Caller, call_v2: Caller, call_dc: Caller, key: str) -> None:
    """All three tell the same of an issue."""
    answers = [(await face("GET", f"issue/{key}")).body for face in (call, call_v2, call_dc)]
    assert told(answers[0]) == told(answers[1]) == told(answers[2])


async def test_rich_text_has_two_forms(call: Caller, call_v2: Caller, call_dc: Caller) -> None:
    """The third API has documents, the second the same as wiki text."""
    documents, *texts = [
        (await face("GET", "issue/PAY-30?fields=description")).body["fields"]["description"]
        for face in (call, call_v2, call_dc)
    ]
    assert documents["type"] == "doc"
    assert texts == [as_wiki(documents)] * 2


async def test_people_by_name_in_a_data_center(call: Caller, call_dc: Caller) -> None:
    """A Data Center knows people by name and key, the Cloud by account id."""
    cloud, center = (await call("GET", "myself")).body, (await call_dc("GET", "myself")).body
    assert ("accountId" in cloud, "name" in cloud) == (True, False)
    assert ("accountId" in center, center["name"], center["displayName"]) == (False, "ada", cloud["displayName"])
    fields = {"project": {"key": "WEB"}, "issuetype": {"name": "Task"}, "summary": "x", "assignee": {"name": "hana"}}
    made = await call_dc("POST", "issue", {"fields": {**fields, "description": "h2. Why\n\n* a\n* b"}})
    read = (await call_dc("GET", f"issue/{made.body['key']}")).body["fields"]
    assert (read["assignee"]["name"], read["description"]) == ("hana", "h2. Why\n\n* a\n* b")
    found = (await call_dc("GET", "user/search?username=hana")).body
    assert [person["name"] for person in found] == ["hana"]


async def test_searches_find_the_same(call: Caller, call_dc: Caller) -> None:
    """The Cloud's pages by token and the Data Center's by offset hold the same issues in the same order."""
    jql = "assignee = currentUser() and project in (PAY, WEB) order by updated desc"
    by_token = [issue["key"] for issue in await call.search(jql, most=40)]
    by_offset: list[str] = []
    total = 1
    while len(by_offset) < total:
        asked = {"jql": jql, "startAt": len(by_offset), "maxResults": 40, "fields": ["summary"]}
        page = (await call_dc("POST", "search", asked)).body
        by_offset += [issue["key"] for issue in page["issues"]]
        total = page["total"]
    assert by_offset == by_token
    assert (await call("POST", "search/approximate-count", {"jql": jql})).body == {"count": total}


async def test_search_pages_of_the_cloud(call: Caller) -> None:
    """`id` alone unless fields are asked for, no total, a token where more follows, good for its query only."""
    page = (await call("POST", "search/jql", {"jql": "project = PAY"})).body
    assert (set(page), page["isLast"], len(page["issues"])) == ({"issues", "isLast", "nextPageToken"}, False, 50)
    assert all(set(issue) == {"id"} for issue in page["issues"])
    other = {"jql": "project = WEB", "nextPageToken": page["nextPageToken"]}
    assert (await call("POST", "search/jql", other)).status == 400
    last = (await call("GET", "search/jql?jql=key%3DPAY-1&fields=summary,status")).body
    assert (last["isLast"], list(last["issues"][0]["fields"])) == (True, ["summary", "status"])


@pytest.mark.parametrize("jql", ["", "ORDER BY created", None])
async def test_cloud_refuses_unbounded_queries(call: Caller, call_dc: Caller, jql: str | None) -> None:
    """A query without a condition is refused in the Cloud, in searches and counts; a Data Center answers it."""
    for path in ("search/jql", "search/approximate-count"):
        answer = await call("POST", path, {"jql": jql})
        assert (answer.status, "Unbounded" in answer.body["errorMessages"][0]) == (400, True)
    answer = await call_dc("POST", "search", {"jql": jql, "maxResults": 1})
    assert (answer.status, answer.body["total"]) == (200, 2400)


@pytest.mark.parametrize(
    "body", [{"maxResults": 0}, {"maxResults": "x"}, {"fields": 5}, {"nextPageToken": "?"}, {"jql": 5}]
)
async def test_bad_search_is_refused(call: Caller, body: dict[str, Any]) -> None:
    """400 for a page size, a list of fields, a token or a query that is none."""
    assert (await call("POST", "search/jql", {"jql": "project = PAY", **body})).status == 400


async def test_each_flavour_lacks_what_the_other_has(jira: Sandbox, call_v2: Caller, call_dc: Caller) -> None:
    """The Cloud's old search is gone (410); a Data Center has no search/jql; both tell what they are."""
    assert (await call_v2("GET", "search?jql=project=PAY")).status == 410
    assert (await call_dc("POST", "search/jql", {"jql": "project = PAY"})).status == 404
    assert (await call_v2("GET", "serverInfo")).body["deploymentType"] == "Cloud"
    assert (await call_dc("GET", "serverInfo")).body["deploymentType"] == "Server"


async def test_createmeta_names_its_lists(call: Caller, call_dc: Caller) -> None:
    """The Cloud says `issueTypes` and `fields`, a Data Center `values`; the required fields are the same."""
    kinds = (await call("GET", "issue/createmeta/OPS/issuetypes")).body["issueTypes"]
    assert told(kinds) == told((await call_dc("GET", "issue/createmeta/OPS/issuetypes")).body["values"])
    path = f"issue/createmeta/OPS/issuetypes/{kinds[0]['id']}"
    fields = (await call("GET", path)).body["fields"]
    assert {field["key"] for field in fields if field["required"]} == {"summary", "project", "issuetype"}
    assert len((await call_dc("GET", path)).body["values"]) == len(fields)


WIKI = "h3. Title\n\nSome words\n\n* one\n* two\n\n{code:text}\nx = 1\n{code}"


def test_wiki_text_there_and_back() -> None:
    """What the sandbox writes as wiki text it reads as the same document."""
    assert as_wiki(as_adf(WIKI)) == WIKI
    assert as_adf(as_wiki(as_adf(WIKI))) == as_adf(WIKI)


nodes = st.recursive(
    st.builds(dict, type=st.just("text"), text=st.text(min_size=1, max_size=5)),
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["paragraph", "heading", "bulletList", "codeBlock", "mention", "panel", "rule"])},
        optional={
            "content": st.lists(inner, max_size=3),
            "attrs": st.dictionaries(st.sampled_from(["level", "id", "language"]), st.integers(), max_size=2),
            "marks": st.lists(st.builds(dict, type=st.sampled_from(["strong", "link", "code", "glow"])), max_size=2),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(nodes, max_size=3), st.text(max_size=40))
def test_any_document_has_a_wiki_form(content: list[Any], text: str) -> None:
    """Whatever document is stored can be read as text, and whatever text as a document."""
    document = {"type": "doc", "version": 1, "content": content}
    assert is_document(document)
    assert isinstance(as_wiki(document), str)
    assert is_document(as_adf(text))
