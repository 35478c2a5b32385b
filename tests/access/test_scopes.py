"""What a list shows is what can be called."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge import Principal
from gatelodge.identity.key_store import KeyStore
from gatelodge.middleware.access import missing_scopes, visible
from gatelodge.settings import ByTool
from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..governed import rows, until
from ..guests import TENANT, NotesPlugin


def principal(*scopes: str, **allowed: Any) -> Principal:
    return Principal(tenant=UUID(int=1), user="ann", method="test", scopes=frozenset(scopes), **allowed)


@pytest.mark.parametrize(
    ("held", "needed", "missing"),
    [
        ([], {"jira:read"}, {"jira:read"}),
        (["jira:read"], {"jira:read"}, set()),
        (["jira:read"], {"jira:write"}, {"jira:write"}),
        (["jira:write"], {"jira:read"}, set()),
        (["sql:write"], {"jira:read"}, {"jira:read"}),
        (["*:read"], {"jira:read", "sql:read"}, set()),
        (["*:read"], {"jira:write"}, {"jira:write"}),
        (["*:write"], {"jira:read", "sql:write"}, set()),
        (["*:write"], {"special"}, {"special"}),
        (["admin"], {"jira:write", "special"}, set()),
        (["tool:jira.search"], {"jira:read", "special"}, set()),
        (["tool:jira_search"], {"jira:read"}, set()),
        (["tool:jira.get_issue"], {"jira:read"}, {"jira:read"}),
        (["tool:*"], {"jira:read"}, {"jira:read"}),
        (["*"], {"jira:read"}, {"jira:read"}),
        (["jira:"], {"jira:read"}, {"jira:read"}),
        (["jira:read"], {"jira:read", "sql:read"}, {"sql:read"}),
        ([], set(), set()),
    ],
)
def test_which_scopes_are_missing(held: list[str], needed: set[str], missing: set[str]) -> None:
    """`admin` and the tool's own scope grant all, write grants read, a star stands for every plugin."""
    assert missing_scopes(principal(*held), "tool", "jira.search", frozenset(needed)) == missing


def test_a_tools_scope_is_for_tools() -> None:
    """A scope for a tool opens no resource or prompt of the same name."""
    caller = principal("tool:x")
    assert visible(caller, "tool", "x", frozenset({"jira:read"}))
    assert not visible(caller, "resource", "x", frozenset({"jira:read"}))
    assert not visible(caller, "prompt", "x", frozenset({"jira:read"}))


def test_allow_lists_bind_an_admin_too() -> None:
    """Lists are by kind; an empty one allows nothing, and only their absence allows all."""
    caller = principal("admin", tools=("jira.get_*", "sql.one"), resources=(), prompts=None)
    assert [visible(caller, "tool", name, frozenset()) for name in ("jira.get_issue", "sql.one", "sql.two")] == [
        True,
        True,
        False,
    ]
    assert not visible(caller, "resource", "jira://issue/A-1", frozenset())
    assert visible(caller, "prompt", "anything", frozenset())


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("jira.create_issue", True),
        ("jira_create_issue", True),
        ("jira_*", True),
        ("jira.*", True),
        ("*_issue", True),
        ("jira?create_issue", True),
        ("jira.create", False),
        ("JIRA.create_issue", False),
        ("jira.create_issue\n", False),
        ("sql_*", False),
    ],
)
def test_patterns_name_a_tool_by_its_alias_too(pattern: str, allowed: bool) -> None:
    """Lists, limits, costs and confirmations mean one tool by either name: what a list shows may be the alias."""
    name = "jira.create_issue"
    assert visible(principal("admin", tools=(pattern,)), "tool", name, frozenset()) == allowed
    assert ByTool(((pattern, 1),)).get(name) == (1 if allowed else None)


SCOPES = st.sampled_from(["a:read", "a:write", "b:read", "b:write", "*:read", "*:write", "admin", "tool:a.x", "x"])


@given(held=st.frozensets(SCOPES), more=st.frozensets(SCOPES), needed=st.frozensets(SCOPES))
def test_more_scopes_never_allow_less(held: frozenset[str], more: frozenset[str], needed: frozenset[str]) -> None:
    """What is missing shrinks as scopes are added, and adding what is missing is enough."""
    missing = missing_scopes(principal(*held), "tool", "a.x", needed)
    assert missing_scopes(principal(*held, *more), "tool", "a.x", needed) <= missing <= needed
    assert not missing_scopes(principal(*held, *missing), "tool", "a.x", needed)


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    return await open_gatelodge(("notes", NotesPlugin), GATELODGE_LOCAL_USER="false")


async def key_for(gate: Gatelodge, database: str, scopes: set[str], **allowed: Any) -> dict[str, str]:
    """The headers of a new key that the server has heard of."""
    pool = await create_pool(database, max_size=1)
    created = await KeyStore(pool).create(tenant=TENANT, user="ann", scopes=frozenset(scopes), **allowed)
    await pool.close()
    headers = {"x-api-key": created[1]}
    for _ in range(500):
        async with gate.session.get(f"{gate.url}/tools", headers=headers) as reply:
            if reply.status == 200:
                return headers
    raise AssertionError("the key is not known")


async def ask(gate: Gatelodge, headers: dict[str, str], method: str, **params: Any) -> Any:
    """The JSON-RPC response of a stateless request."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    mirrored = {
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        "Accept": "application/json, text/event-stream",
    }
    if "uri" in params or "name" in params:
        mirrored["Mcp-Name"] = params.get("uri") or params["name"]
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
    async with gate.session.post(f"{gate.url}/mcp", json=message, headers=headers | mirrored) as reply:
        return await reply.json()


async def test_lists_show_what_can_be_called(gate: Gatelodge, database: str) -> None:
    """What is on a list answers and what is not is refused, for each kind; lists are private to caches."""
    headers = await key_for(
        gate, database, {"notes:read"}, tools=("notes.*",), resources=("notes://one/*",), prompts=("other",)
    )
    tools = (await ask(gate, headers, "tools/list"))["result"]
    assert [tool["name"] for tool in tools["tools"]] == ["notes.read"]
    assert tools["cacheScope"] == "private"
    assert (await ask(gate, headers, "resources/list"))["result"]["resources"] == []
    templates = (await ask(gate, headers, "resources/templates/list"))["result"]["resourceTemplates"]
    assert [template["uriTemplate"] for template in templates] == ["notes://one/{id}"]
    assert (await ask(gate, headers, "prompts/list"))["result"]["prompts"] == []
    assert "result" in await ask(gate, headers, "resources/read", uri="notes://one/7")
    for method, target in (("resources/read", {"uri": "notes://all"}), ("prompts/get", {"name": "sum_up"})):
        assert (await ask(gate, headers, method, **target))["error"]["data"]["code"] == "forbidden"


async def test_a_template_on_a_list_stands_for_what_it_leads_to(gate: Gatelodge, database: str) -> None:
    """Listed as it is registered, each of its URIs can be read and followed; a narrower list allows no more than it says."""
    headers = await key_for(gate, database, {"notes:read"}, resources=("notes://one/{id}",))
    templates = (await ask(gate, headers, "resources/templates/list"))["result"]["resourceTemplates"]
    assert [template["uriTemplate"] for template in templates] == ["notes://one/{id}"]
    assert "result" in await ask(gate, headers, "resources/read", uri="notes://one/7")
    narrow = await key_for(gate, database, {"notes:read"}, resources=("notes://one/7*",))
    assert "result" in await ask(gate, narrow, "resources/read", uri="notes://one/71")
    for other in ("notes://one/8", "notes://one/%37", "notes://one/{id}"):
        assert (await ask(gate, narrow, "resources/read", uri=other))["error"]["data"]["code"] == "forbidden"


async def test_what_may_not_be_used_is_not_described(gate: Gatelodge, database: str) -> None:
    """Who may not use a prompt or template is not told of its arguments, nor of the names of tools nearby."""
    headers = await key_for(gate, database, {"notes:read"}, tools=("notes.read",), prompts=(), resources=())
    wrong = {"argument": {"name": "wrong", "value": ""}}
    for method, params in (
        ("prompts/get", {"name": "sum_up", "arguments": {"wrong": "x"}}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "sum_up"}, **wrong}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "notes://one/{id}"}, **wrong}),
    ):
        assert (await ask(gate, headers, method, **params))["error"]["data"]["code"] == "forbidden"
    hints = [
        (await ask(gate, headers, "tools/call", name=name, arguments={}))["error"]["message"]
        for name in ("notes.rea", "notes.writ", "n" * 5_000)
    ]
    assert hints[0] == "There is no tool 'notes.rea'; did you mean notes.read?"
    assert "notes.write" not in hints[1]
    assert len(hints[2]) < 300


async def test_what_is_not_there_is_written_down(gate: Gatelodge, database: str) -> None:
    """Asking for what nobody registered leaves a row, whatever kind it is of: that is how one looks for a way in."""
    headers = await key_for(gate, database, {"notes:read"})
    argument = {"argument": {"name": "x", "value": ""}}
    for method, params in (
        ("tools/call", {"name": "notes.none", "arguments": {}}),
        ("resources/read", {"uri": "notes://none"}),
        ("prompts/get", {"name": "none"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "none"}, **argument}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "notes://none"}, **argument}),
        ("prompts/get", {"name": "sum_up", "arguments": {"wrong": "x"}}),
    ):
        assert "error" in await ask(gate, headers, method, **params)
    unknown = [f"unknown_{kind}" for kind in ("tool", "resource", "prompt", "completion", "completion")]
    expected = [*((action, "not_found") for action in unknown), ("prompt", "validation_error")]

    async def written() -> bool:
        found = [(row["action"], row["outcome"]) for row in await rows(database, TENANT)]
        return found == [("key.created", "ok"), *expected]

    async with asyncio.timeout(60):
        await until(written)


async def test_completion_goes_by_what_it_completes(gate: Gatelodge, database: str) -> None:
    """Suggestions for a prompt or a template are for who may use it."""
    references = {
        "prompt": ({"type": "ref/prompt", "name": "sum_up"}, "style"),
        "template": ({"type": "ref/resource", "uri": "notes://one/{id}"}, "id"),
    }
    rights: list[tuple[set[str], dict[str, Any], set[str]]] = [
        ({"notes:read"}, {}, {"prompt", "template"}),
        ({"notes:read"}, {"prompts": ()}, {"template"}),
        ({"notes:read"}, {"resources": ("other://*",)}, {"prompt"}),
        ({"sql:read"}, {}, set()),
    ]
    for scopes, allowed, expected in rights:
        headers = await key_for(gate, database, scopes, **allowed)
        answered = set()
        for kind, (reference, argument) in references.items():
            params = {"ref": reference, "argument": {"name": argument, "value": ""}}
            answer = await ask(gate, headers, "completion/complete", **params)
            if "result" in answer:
                assert answer["result"]["completion"]["values"] == ["one", "two"]
                answered.add(kind)
            else:
                assert answer["error"]["data"]["code"] == "forbidden"
        assert answered == expected


async def test_templates_are_listed_for_who_may_run_them(gate: Gatelodge, database: str) -> None:
    """A plugin's own route shows no more than the list of tools does."""
    seen = []
    for scopes, tools in (({"sql:read"}, None), ({"sql:read"}, ("sql.get_*",)), ({"notes:read"}, None)):
        headers = await key_for(gate, database, scopes, tools=tools)
        async with gate.session.get(f"{gate.url}/templates", headers=headers) as reply:
            seen.append([template["name"] for template in (await reply.json())["templates"]])
    assert len(seen[0]) > len(seen[1]) > 0
    assert all(name.startswith("get_") for name in seen[1])
    assert seen[2] == []


async def test_a_refusal_names_what_is_missing(gate: Gatelodge, database: str) -> None:
    """The missing scopes are in the details, for a tool, a resource and a prompt alike."""
    headers = await key_for(gate, database, {"sql:read"})
    for method, target, scope in (
        ("tools/call", {"name": "notes.write", "arguments": {}}, "notes:write"),
        ("resources/read", {"uri": "notes://all"}, "notes:read"),
        ("prompts/get", {"name": "sum_up"}, "notes:read"),
    ):
        data = (await ask(gate, headers, method, **target))["error"]["data"]
        assert (data["code"], data["details"]["missing_scopes"]) == ("forbidden", [scope])


async def test_rest_lists_are_the_same(gate: Gatelodge, database: str) -> None:
    """The plain doors show no more than the protocol does."""
    headers = await key_for(gate, database, {"notes:write"}, tools=("notes.write",), prompts=())
    shown = {}
    for path, member in (
        ("/tools", "tools"),
        ("/api/v1/mcp/tools/list", "tools"),
        ("/api/v1/mcp/prompts/list", "prompts"),
    ):
        async with gate.session.get(gate.url + path, headers=headers) as reply:
            shown[path] = [item["name"] for item in (await reply.json())[member]]
    assert shown == {
        "/tools": ["notes.write"],
        "/api/v1/mcp/tools/list": ["notes.write"],
        "/api/v1/mcp/prompts/list": [],
    }
