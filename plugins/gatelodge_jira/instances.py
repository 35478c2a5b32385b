"""Which Jira a call means: the tenant's own instances, the operator's one, or the sandbox."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import aiohttp

from gatelodge import Call, ErrorCode, StartupError, ToolError

from .api import JiraAPI, open_api
from .client import Client
from .credentials import Vault
from .failure import invalid
from .instance import Instance
from .remembered import Remembered

if TYPE_CHECKING:
    from asyncpg import Pool

LIST_SECONDS = 5.0
"""How long a replica takes to see an instance that was added or removed."""
PROJECT_IN_JQL = re.compile(r"\bproject\s*(?:=|in)\s*\(?\s*[\"']?([A-Za-z][A-Za-z0-9_]+)", re.IGNORECASE)
SELECT = "SELECT id, url, site, flavour, public_only, credentials_encrypted FROM jira_instances WHERE tenant_id = $1"


class Finder(Protocol):
    """What a tool needs to get at a Jira."""

    async def find(self, call: Call, project: str | None = None) -> JiraAPI: ...


class Instances:
    """Finds the API of an instance, and keeps one for each as long as the server runs."""

    def __init__(
        self,
        pool: Pool[Any],
        vault: Vault,
        shared: Instance | None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._pool = pool
        self._trace_configs = trace_configs
        self._vault = vault
        self.shared = shared
        self._lists = Remembered(LIST_SECONDS)
        self._clients: dict[Instance, Client] = {}
        self._apis = Remembered(float("inf"))

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def of(self, tenant: UUID) -> dict[str, Instance]:
        """What the tenant may use, by id: its own, and the environment's. The sandbox only in place of none."""
        own: list[Instance] = await self._lists.get(tenant, lambda: self._read(tenant))
        shared = self.shared
        if shared is not None and not (shared.sandbox and own):
            return {shared.id: shared} | {item.id: item for item in own}
        return {item.id: item for item in own}

    async def find(self, call: Call, project: str | None = None) -> JiraAPI:
        """The API for a call: the instance it names, the only one, or the only one that has the project.

        Raises `not_found` and `validation_error`, listing the instances there are.
        """
        available = await self.of(call.principal.tenant)
        wanted = call.arguments.get("instance_id")
        if wanted is not None:
            return await self.api(_named(available, wanted))
        if not available:
            raise ToolError(ErrorCode.NOT_FOUND, "No Jira is configured for this tenant.")
        if len(available) == 1:
            return await self.api(next(iter(available.values())))
        if project is None:
            raise invalid("instance_id", f"There are several instances; give one of {_listed(available)}.")
        return await self._having(project, available)

    async def meant(self, call: Call) -> list[str]:
        """The ids of the instances a call may reach: the one it names, or all of them. None where it names none there is."""
        available = await self.of(call.principal.tenant)
        wanted = call.arguments.get("instance_id")
        return [id for id in available if wanted is None or id == wanted]

    async def api(self, instance: Instance) -> JiraAPI:
        """The API of an instance, opened once."""

        async def open_one() -> JiraAPI:
            client = self._clients.get(instance) or Client(instance, self._trace_configs)
            self._clients[instance] = client
            return await open_api(client)

        api: JiraAPI = await self._apis.get(instance, open_one)
        return api

    async def _having(self, project: str, available: dict[str, Instance]) -> JiraAPI:
        found = [api for api in [await self.api(item) for item in available.values()] if await api.has_project(project)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise ToolError(
                ErrorCode.NOT_FOUND,
                f"No instance has the project {project}; there are {_listed(available)}.",
                details={"project": project, "instances": list(available)},
            )
        ids = [api.instance.id for api in found]
        raise invalid(
            "instance_id", f"{project} exists in several instances; give one of {', '.join(ids)}.", instances=ids
        )

    async def _read(self, tenant: UUID) -> list[Instance]:
        return [self._instance(row) for row in await self._pool.fetch(f"{SELECT} ORDER BY id", tenant)]

    def _instance(self, row: Any) -> Instance:
        try:
            authorization = self._vault.decrypt(row["credentials_encrypted"])
        except StartupError as error:
            raise ToolError(ErrorCode.DISABLED, f"Jira instance {row['id']} cannot be used: {error}") from None
        return Instance(
            id=row["id"],
            url=row["url"],
            site=row["site"],
            authorization=authorization,
            flavour=row["flavour"],
            public_only=row["public_only"],
        )


def project_of(issue_key: str) -> str:
    return issue_key.rpartition("-")[0]


def project_in(jql: str) -> str | None:
    """The project that a query names, if it names one plainly."""
    found = {match.upper() for match in PROJECT_IN_JQL.findall(jql)}
    return found.pop() if len(found) == 1 else None


def _named(available: dict[str, Instance], wanted: str) -> Instance:
    if wanted not in available:
        raise invalid("instance_id", f"There is no instance {wanted!r}; there are {_listed(available)}.")
    return available[wanted]


def _listed(ids: Sequence[str] | dict[str, Instance]) -> str:
    return ", ".join(ids) or "none"
