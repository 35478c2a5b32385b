"""The operations of Jira's REST API that the tools use, and what Cloud and Data Center do differently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gatelodge import ToolError

from .client import Client, Request
from .documents import to_adf, to_wiki
from .remembered import Remembered

METADATA_SECONDS = 300.0
PAGE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Issues as Jira gives them; `next` is where the following page begins, in the flavour's own terms."""

    issues: list[dict[str, Any]]
    next: str | int | None
    total: int | None = None


class JiraAPI(ABC):
    """One instance. `version` is the REST version in the paths; everything raises `ToolError`."""

    version: str
    person: str
    """The parameter that finds a user."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.instance = client.instance
        self._metadata = Remembered(METADATA_SECONDS)

    # --- what differs ------------------------------------------------------------------------------------------

    @abstractmethod
    async def search(self, jql: str, fields: Sequence[str], limit: int, start: str | int | None) -> Page: ...

    @abstractmethod
    async def count(self, jql: str) -> tuple[int, bool]:
        """How many issues match, and whether that is an estimate."""

    @abstractmethod
    def document(self, markdown: str | None, adf: dict[str, Any] | None) -> Any:
        """Rich text in the form this flavour takes."""

    @abstractmethod
    def user(self, identifier: str) -> dict[str, str]:
        """A reference to a user in a field's value."""

    @abstractmethod
    async def changelog(self, key: str) -> list[dict[str, Any]]:
        """The newest histories of an issue, oldest first, `PAGE` at most."""

    @abstractmethod
    async def histories(self, issues: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """The whole history of each of a page of issues, by key, oldest first."""

    @abstractmethod
    async def projects(self) -> list[str]:
        """Keys of the projects that the account may see, `PAGE` at most."""

    # --- what is the same --------------------------------------------------------------------------------------

    def path(self, *parts: str) -> str:
        return f"/rest/api/{self.version}/" + "/".join(quote(part, safe="") for part in parts)

    def browse(self, key: str) -> str:
        return f"{self.instance.site}/browse/{key}"

    async def get(self, *parts: str, **params: str) -> Any:
        return await self.client.send(Request("GET", self.path(*parts), params or None, safe=True))

    async def issue(self, key: str, fields: Sequence[str], expand: Sequence[str] = ()) -> dict[str, Any]:
        params = {"fields": ",".join(fields)} | ({"expand": ",".join(expand)} if expand else {})
        found: dict[str, Any] = await self.get("issue", key, **params)
        return found

    async def transitions(self, key: str) -> list[dict[str, Any]]:
        """The transitions open to our account now, with the fields of their screens."""
        reply = await self.get("issue", key, "transitions", expand="transitions.fields")
        return list(reply["transitions"])

    async def comments(self, key: str, limit: int) -> dict[str, Any]:
        """The newest comments of an issue."""
        reply: dict[str, Any] = await self.get(
            "issue", key, "comment", orderBy="-created", maxResults=str(limit), startAt="0", expand="properties"
        )
        return reply

    async def property(self, key: str, name: str) -> Any:
        """The entity property of an issue, None where there is none."""
        found = await self.get("issue", key, fields="summary", properties=name)
        return (found.get("properties") or {}).get(name)

    async def editable_fields(self, key: str) -> dict[str, Any]:
        reply = await self.get("issue", key, "editmeta")
        return dict(reply.get("fields", {}))

    async def fields(self) -> list[dict[str, Any]]:
        return list(await self._metadata.get("fields", lambda: self.get("field")))

    async def link_types(self) -> list[dict[str, Any]]:
        reply = await self._metadata.get("link types", lambda: self.get("issueLinkType"))
        return list(reply["issueLinkTypes"])

    async def has_project(self, key: str) -> bool:
        async def ask() -> bool:
            try:
                await self.get("project", key)
            except ToolError as error:
                if error.details.get("status") == 404:
                    return False
                raise
            return True

        return bool(await self._metadata.get(("project", key), ask))

    async def issue_types(self, project: str) -> list[dict[str, Any]]:
        async def ask() -> list[dict[str, Any]]:
            reply = await self.get("issue", "createmeta", project, "issuetypes", maxResults="200")
            return list(reply.get("issueTypes") or reply.get("values") or [])

        return list(await self._metadata.get(("types", project), ask))

    async def status_categories(self) -> dict[str, str]:
        """The category (`new`, `indeterminate`, `done`) of each status, by its name."""
        return {item["name"]: item["statusCategory"]["key"] for item in await self.get("status")}

    async def statuses(self) -> list[str]:
        """The names of the statuses of all projects."""
        return list(await self._metadata.get("statuses", self.status_categories))

    async def people(self, typed: str, limit: int) -> list[str]:
        """The display names of users whose name or address begins so."""
        params = {self.person: typed, "maxResults": str(limit)}
        return [item["displayName"] for item in await self.get("user", "search", **params)]

    async def check(self) -> str:
        """Who we are there, for the operator."""
        me = await self.get("myself")
        return str(me.get("displayName") or me.get("name"))


class Cloud(JiraAPI):
    """REST v3: documents are ADF, users have account ids, a search has no total."""

    version = "3"
    person = "query"

    async def search(self, jql: str, fields: Sequence[str], limit: int, start: str | int | None) -> Page:
        body = {"jql": jql, "fields": list(fields), "maxResults": limit}
        if start is not None:
            body["nextPageToken"] = start
        reply = await self.client.send(Request("POST", self.path("search", "jql"), body=body, safe=True))
        return Page(reply.get("issues", []), None if reply.get("isLast") else reply.get("nextPageToken"))

    async def count(self, jql: str) -> tuple[int, bool]:
        path = self.path("search", "approximate-count")
        reply = await self.client.send(Request("POST", path, body={"jql": jql}, safe=True))
        return int(reply["count"]), True

    async def projects(self) -> list[str]:
        found = await self._metadata.get("projects", lambda: self.get("project", "search", maxResults=str(PAGE)))
        return [item["key"] for item in found["values"]]

    def document(self, markdown: str | None, adf: dict[str, Any] | None) -> Any:
        return adf if adf is not None else to_adf(markdown or "")

    def user(self, identifier: str) -> dict[str, str]:
        return {"accountId": identifier}

    async def changelog(self, key: str) -> list[dict[str, Any]]:
        first = await self.get("issue", key, "changelog", maxResults=str(PAGE), startAt="0")
        if first.get("total", 0) <= PAGE:
            return list(first["values"])
        rest = await self.get("issue", key, "changelog", maxResults=str(PAGE), startAt=str(first["total"] - PAGE))
        return list(rest["values"])

    async def histories(self, issues: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """By bulk, which answers by id."""
        if not issues:
            return {}
        names = {str(issue["id"]): issue["key"] for issue in issues}
        found: dict[str, list[dict[str, Any]]] = {}
        body: dict[str, Any] = {"issueIdsOrKeys": list(names), "fieldIds": ["status"], "maxResults": 1000}
        while True:
            path = self.path("changelog", "bulkfetch")
            reply = await self.client.send(Request("POST", path, body=body, safe=True))
            for log in reply["issueChangeLogs"]:
                found.setdefault(names[str(log["issueId"])], []).extend(log["changeHistories"])
            if "nextPageToken" not in reply:
                return found
            body = {**body, "nextPageToken": reply["nextPageToken"]}


class DataCenter(JiraAPI):
    """REST v2: text is wiki markup, users have names, a search pages by offset and counts."""

    version = "2"
    person = "username"

    async def search(self, jql: str, fields: Sequence[str], limit: int, start: str | int | None) -> Page:
        body = {"jql": jql, "fields": list(fields), "maxResults": limit, "startAt": int(start or 0)}
        reply = await self.client.send(Request("POST", self.path("search"), body=body, safe=True))
        issues = reply.get("issues", [])
        end = int(reply["startAt"]) + len(issues)
        return Page(issues, end if issues and end < reply["total"] else None, int(reply["total"]))

    async def count(self, jql: str) -> tuple[int, bool]:
        body = {"jql": jql, "fields": ["id"], "maxResults": 0, "startAt": 0}
        reply = await self.client.send(Request("POST", self.path("search"), body=body, safe=True))
        return int(reply["total"]), False

    async def projects(self) -> list[str]:
        found = await self._metadata.get("projects", lambda: self.get("project"))
        return [item["key"] for item in found[:PAGE]]

    def document(self, markdown: str | None, adf: dict[str, Any] | None) -> Any:
        return to_wiki(adf if adf is not None else to_adf(markdown or ""))

    def user(self, identifier: str) -> dict[str, str]:
        return {"name": identifier}

    async def changelog(self, key: str) -> list[dict[str, Any]]:
        issue = await self.issue(key, ["key"], ["changelog"])
        histories: list[dict[str, Any]] = issue["changelog"]["histories"]
        return sorted(histories, key=lambda item: item["created"])[-PAGE:]

    async def histories(self, issues: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """By a search that carries the changelog of each issue."""
        if not issues:
            return {}
        keys = ", ".join(issue["key"] for issue in issues)
        body = {"jql": f"key in ({keys})", "fields": ["key"], "expand": ["changelog"], "maxResults": len(issues)}
        reply = await self.client.send(Request("POST", self.path("search"), body=body, safe=True))
        return {issue["key"]: list(issue["changelog"]["histories"]) for issue in reply["issues"]}


async def open_api(client: Client) -> JiraAPI:
    """The API in the flavour that the instance has, or says that it has."""
    flavour = client.instance.flavour
    if flavour is None:
        about = await client.send(Request("GET", "/rest/api/2/serverInfo", safe=True))
        flavour = "cloud" if about.get("deploymentType") == "Cloud" else "datacenter"
    return Cloud(client) if flavour == "cloud" else DataCenter(client)
