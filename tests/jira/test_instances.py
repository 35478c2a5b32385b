"""Which Jira a call means: by environment or by tenant, found by its project, with credentials that stay secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from gatelodge import Environment, ErrorCode, StartupError, ToolError
from gatelodge_jira.addresses import is_public, refuse_private
from gatelodge_jira.commands import INSERT
from gatelodge_jira.credentials import Vault
from gatelodge_jira.sandbox import SEED, Sandbox, generate, sandbox
from gatelodge_jira.sandbox.world import DEMO_USER
from gatelodge_jira.settings import JiraSettings, basic

from .desk import desk

TENANT, OTHER = UUID(int=11), UUID(int=12)
KEY = "first-secret-of-the-server"
CLOUD_LOGIN = {"token-canary": DEMO_USER.name}
SERVER_LOGIN = {"pat": DEMO_USER.name}


@pytest.fixture
async def two(database: str) -> AsyncIterator[tuple[Sandbox, Sandbox]]:
    """Two sandboxes, Cloud and Data Center, as instances of the tenant; the second one's projects are the same."""
    story = generate(SEED, datetime.now(UTC).date())
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(sandbox(story, credentials=CLOUD_LOGIN))
        server = await stack.enter_async_context(sandbox(story, flavour="datacenter", credentials=SERVER_LOGIN))
        vault = Vault([KEY])
        connection = await asyncpg.connect(database)
        for name, url, flavour, login in [
            ("cloud", cloud.url, "cloud", basic(DEMO_USER.email, "token-canary")),
            ("server", server.url, "datacenter", "Bearer pat"),
        ]:
            await connection.execute(INSERT, TENANT, name, url, url, flavour, False, vault.encrypt(login))
        await connection.close()
        yield cloud, server


async def refusal(gate: object, **arguments: object) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await gate.answer("jira.get_issue", **arguments)  # type: ignore[attr-defined]
    return caught.value


async def test_each_instance_is_reached_by_name_with_its_own_login(database: str, two: tuple[Sandbox, Sandbox]) -> None:
    """Cloud by basic, Data Center by a personal token; both answer the same issue."""
    async with desk(database, GATELODGE_SECRET_KEY=KEY) as gate:
        for name in ("cloud", "server"):
            issue = await gate.answer("jira.get_issue", issue_key="PAY-1", instance_id=name, tenant=TENANT)
            assert (issue["instance"], issue["key"]) == (name, "PAY-1")


async def test_a_project_in_several_instances_is_asked_about(database: str, two: tuple[Sandbox, Sandbox]) -> None:
    """The error lists them; nothing is guessed."""
    async with desk(database, GATELODGE_SECRET_KEY=KEY) as gate:
        error = await refusal(gate, issue_key="PAY-1", tenant=TENANT)
        assert error.details["instances"] == ["cloud", "server"]
        missing = await refusal(gate, issue_key="NOPE-1", tenant=TENANT)
        assert missing.code is ErrorCode.NOT_FOUND


async def test_another_tenant_has_none_of_them(database: str, two: tuple[Sandbox, Sandbox]) -> None:
    """Without a sandbox it has no Jira at all."""
    async with desk(database, GATELODGE_SECRET_KEY=KEY, GATELODGE_JIRA_SANDBOX="false") as gate:
        error = await refusal(gate, issue_key="PAY-1", tenant=OTHER)
        assert error.code is ErrorCode.NOT_FOUND
        error = await refusal(gate, issue_key="PAY-1", instance_id="cloud", tenant=OTHER)
        assert "instance_id" in error.details["fields"]


async def test_credentials_are_unreadable_without_the_secret_and_outlive_its_rotation(
    database: str, two: tuple[Sandbox, Sandbox]
) -> None:
    """With another key the instance is disabled; with the old one behind a new one it works."""
    async with desk(database, GATELODGE_SECRET_KEY="another-secret") as gate:
        error = await refusal(gate, issue_key="PAY-1", instance_id="cloud", tenant=TENANT)
        assert error.code is ErrorCode.DISABLED
    async with desk(database, GATELODGE_SECRET_KEY=f"new-secret, {KEY}") as gate:
        assert await gate.answer("jira.get_issue", issue_key="PAY-1", instance_id="cloud", tenant=TENANT)
    connection = await asyncpg.connect(database)
    (stored,) = await connection.fetchrow("SELECT string_agg(credentials_encrypted, '') FROM jira_instances")
    await connection.close()
    assert b"token-canary" not in stored


async def test_a_data_center_pages_by_offset_and_takes_wiki_text(database: str) -> None:
    """The same tools over REST v2: flavour found out, pages whole, Markdown turned into wiki markup, exact counts."""
    story = generate(SEED, datetime.now(UTC).date())
    async with sandbox(story, flavour="datacenter") as server, desk(database, JIRA_URL=server.url) as gate:
        keys: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await gate.answer("jira.search", query="project = OPS", limit=100, count=True, **cursor)
            keys += [issue["key"] for issue in page["issues"]]
            if page["cursor"] is None:
                break
            cursor = {"cursor": page["cursor"]}
        assert sorted(keys) == sorted(issue.key for issue in story.issues if issue.project == "OPS")
        assert (page["total"], page["total_is_estimate"]) == (len(keys), False)
        created = await gate.answer(
            "jira.create_issue", project_key="OPS", issue_type="Task", summary="x", description="## A\n\n- **b**"
        )
        read = await gate.answer("jira.get_issue", issue_key=created["issue_key"])
        assert read["fields"]["description"] == "h2. A\n\n* *b*"


@pytest.mark.parametrize(
    "settings",
    [
        {"JIRA_USERNAME": "a@b"},
        {"JIRA_URL": "http://jira", "JIRA_USERNAME": "a@b"},
        {"JIRA_URL": "http://jira", "JIRA_API_TOKEN": "t"},
        {"JIRA_URL": "http://jira", "JIRA_USERNAME": "a", "JIRA_API_TOKEN": "t", "JIRA_PERSONAL_TOKEN": "p"},
        {"JIRA_URL": "jira"},
        {"JIRA_CLOUD_ID": "abc"},
    ],
)
def test_half_an_instance_stops_the_start(settings: dict[str, str]) -> None:
    """The error names the variable."""
    with pytest.raises(StartupError, match="JIRA_"):
        Environment(settings).read(JiraSettings).instance()


@pytest.mark.parametrize(
    "url",
    [
        "http://jira.example.com",
        "https://127.0.0.1",
        "https://10.1.2.3",
        "https://169.254.169.254/latest",
        "https://[::1]",
        "https://[::ffff:10.0.0.1]",
        "https://localhost",
        "https://user:pw@example.com",
    ],
)
def test_a_tenant_may_not_point_into_the_operators_network(url: str) -> None:
    """Plain http, private addresses in any form, and a user in the address are refused."""
    with pytest.raises(ToolError):
        refuse_private(url)


def test_a_public_address_is_one() -> None:
    """Also when it is seen through the forms of IPv6."""
    assert is_public("104.192.137.1")
    assert is_public("2600:9000::1")
    assert not is_public("64:ff9b::a00:1")
