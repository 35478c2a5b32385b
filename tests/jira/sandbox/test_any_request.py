"""No request, however odd, makes the sandbox fail: each is answered or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelodge_jira.sandbox.ask import Ask, Operation, Reply
from gatelodge_jira.sandbox.fields import FIELDS
from gatelodge_jira.sandbox.refusal import Refusal
from gatelodge_jira.sandbox.routes import CLOUD, DATA_CENTER, EVERYWHERE
from gatelodge_jira.sandbox.site import Site
from gatelodge_jira.sandbox.story import Story
from gatelodge_jira.sandbox.wire import Face

NAMES = [
    "fields", "update", "transition", "body", "visibility", "id", "key", "name", "value", "accountId", "type", "add",
    "set", "remove", "comment", "inwardIssue", "outwardIssue", "jql", "maxResults", "startAt", "nextPageToken",
    "reconcileIssues", "issueIdsOrKeys", "fieldIds", "queries", "content", "version", "text", "expand", *FIELDS,
]  # fmt: skip
WORDS = [
    "PAY",
    "PAY-1",
    "PAY-2",
    "Bug",
    "Blocks",
    "11",
    "71",
    "doc",
    "paragraph",
    "text",
    "strict",
    "project = PAY",
    "²",
    "-1",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
places = st.dictionaries(st.sampled_from(list(FIELDS)), values, max_size=3)
begun = {"project": {"key": "PAY"}, "issuetype": {"name": "Bug"}, "summary": "x"}
changes = st.builds(
    lambda fields, update, begin, id: {"fields": {**begin, **fields}, "update": update, "transition": {"id": id}},
    places,
    places | st.dictionaries(st.sampled_from(list(FIELDS)), st.lists(values, max_size=2), max_size=2),
    st.sampled_from([{}, begun]),
    st.sampled_from(["11", "71", "81", 5]),
)
documents = st.builds(lambda content: {"body": {"type": "doc", "version": 1, "content": content}}, values)
queries = st.dictionaries(
    st.sampled_from([*NAMES, "query", "username", "transitionId", "orderBy", "validation", "keys", "deleteSubtasks"]),
    st.sampled_from(WORDS) | st.text(max_size=4),
    max_size=3,
)


@pytest.fixture(scope="module")
def site(story: Story) -> Site:
    return Site(story)


@pytest.mark.parametrize(
    "operation", [route[2] for route in (*CLOUD, *DATA_CENTER, *EVERYWHERE)], ids=lambda it: it.__name__
)
@settings(max_examples=30, deadline=None)
@given(
    body=values | changes | documents,
    query=queries,
    api=st.sampled_from([2, 3]),
    cloud=st.booleans(),
    place=st.sampled_from(WORDS),
)
def test_any_request(
    site: Site, operation: Operation, body: Any, query: dict[str, str], api: int, cloud: bool, place: str
) -> None:
    """Whatever the body, the query and the address, there is a reply below 500."""
    path = dict.fromkeys(("issue", "project", "type", "link"), place)
    ask = Ask(site=site, face=Face("http://sandbox", api, cloud), user="ada", path=path, query=query, body=body)
    try:
        reply = operation(ask)
    except Refusal as refusal:
        reply = Reply(refusal.status, refusal.body())
    assert 200 <= reply.status < 500
