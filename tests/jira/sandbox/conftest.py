"""Plain HTTP to a sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from gatelodge_jira.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any


class Caller:
    """Calls of one API of one sandbox."""

    def __init__(self, session: aiohttp.ClientSession, api: int) -> None:
        self._session = session
        self._prefix = f"/rest/api/{api}/"

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """`path` is what follows the API's number, with its query."""
        if body is not None:
            options["json"] = body
        async with self._session.request(method, self._prefix + path, **options) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text else None)

    async def search(self, jql: str, *fields: str, most: int = 100) -> list[dict[str, Any]]:
        """All issues, page by page, in the Cloud."""
        asked: dict[str, Any] = {"jql": jql, "fields": list(fields) or ["summary"], "maxResults": most}
        issues: list[dict[str, Any]] = []
        while True:
            answer = await self("POST", "search/jql", asked)
            assert answer.status == 200, answer.body
            issues += answer.body["issues"]
            if answer.body["isLast"]:
                return issues
            asked["nextPageToken"] = answer.body["nextPageToken"]


@pytest.fixture
async def call(jira: Sandbox) -> AsyncIterator[Caller]:
    """The third API of the Cloud."""
    async with aiohttp.ClientSession(jira.url) as session:
        yield Caller(session, 3)


@pytest.fixture
async def call_dc(datacenter: Sandbox) -> AsyncIterator[Caller]:
    """The second API of a Data Center."""
    async with aiohttp.ClientSession(datacenter.url) as session:
        yield Caller(session, 2)
