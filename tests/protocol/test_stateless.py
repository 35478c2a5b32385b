"""2026-07-28: headers that must repeat the body, subscriptions, tasks, and what is not there any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from .conftest import Speak
from .schema import STATELESS
from .speaker import TASKS, Message, Speaker, answers, events
from .waiting import WaitingPlugin

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


async def failure(client: Speaker, request: Message, **headers: str) -> tuple[int, int]:
    """HTTP status and JSON-RPC code of a refusal."""
    async with client.post(request, **headers) as reply:
        return reply.status, (await reply.json())["error"]["code"]


async def test_headers_repeat_the_body(speak: Speak) -> None:
    """A header that is missing, differs or cannot be read is -32020; the base64 form is decoded first."""
    client = await speak(STATELESS)
    request = client.message("tools/call", {"name": "greet", "arguments": {"name": "Ada"}})
    mismatch = (400, -32020)
    assert await failure(client, request, Mcp_Method="tools/list") == mismatch
    assert await failure(client, request, Mcp_Name="other") == mismatch
    assert await failure(client, request, Mcp_Name="=?base64?!!?=") == mismatch
    assert await failure(client, request, MCP_Protocol_Version="2025-11-25") == mismatch
    async with client.http.post(client.url, json=request) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == mismatch
    async with client.post(request, Mcp_Name="=?base64?Z3JlZXQ=?=") as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("arguments", "headers", "status"),
    [
        ({"region": "eu"}, {"Mcp_Param_Region": "eu"}, 200),
        ({"region": "eu"}, {}, 400),
        ({"region": "eu"}, {"Mcp_Param_Region": "us"}, 400),
        ({"region": "é"}, {"Mcp_Param_Region": "=?base64?w6k=?="}, 200),
        ({"region": "eu", "priority": 42}, {"Mcp_Param_Region": "eu", "Mcp_Param_Priority": "42.0"}, 200),
        ({"region": "eu", "priority": 42}, {"Mcp_Param_Region": "eu", "Mcp_Param_Priority": "41"}, 400),
        ({"region": "eu", "verbose": True}, {"Mcp_Param_Region": "eu", "Mcp_Param_Verbose": "true"}, 200),
        ({"region": "eu", "verbose": True}, {"Mcp_Param_Region": "eu", "Mcp_Param_Verbose": "True"}, 400),
        ({"region": "eu"}, {"Mcp_Param_Region": "eu", "Mcp_Param_Verbose": "true"}, 400),
    ],
)
async def test_mirrored_parameters(
    speak: Speak, arguments: Mapping[str, Any], headers: Mapping[str, str], status: int
) -> None:
    """Arguments marked by `x-mcp-header` are repeated in headers, numbers by their value."""
    client = await speak(STATELESS)
    request = client.message("tools/call", {"name": "test_custom_headers", "arguments": arguments})
    async with client.post(request, **headers) as reply:
        assert reply.status == status


async def test_versions(speak: Speak) -> None:
    """An unknown version is -32022 with those that are served; `_meta` without its members is -32602."""
    client = await speak(STATELESS)
    request = client.message("tools/list", {})
    meta = request["params"]["_meta"]
    unknown = {**meta, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}
    asked = {**request, "params": {"_meta": unknown}}
    async with client.post(asked, MCP_Protocol_Version="2030-01-01") as reply:
        error = (await reply.json())["error"]
    assert (error["code"], error["data"]["requested"]) == (-32022, "2030-01-01")
    assert STATELESS in error["data"]["supported"]
    for name in ("protocolVersion", "clientCapabilities"):
        partial = {key: value for key, value in meta.items() if not key.endswith(name)}
        assert await failure(client, {**request, "params": {"_meta": partial}}) == (400, -32602)


@pytest.mark.parametrize(
    "method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list", "tasks/result", "a/b"]
)
async def test_methods_that_are_not_there(speak: Speak, method: str) -> None:
    """404 and -32601, so that nobody takes it for a server that is missing."""
    client = await speak(STATELESS, capabilities=TASKS)
    request = client.message("tools/list", {}) | {"method": method}
    assert await failure(client, request, Mcp_Method=method) == (404, -32601)


async def test_listening(speak: Speak) -> None:
    """First what was agreed, then only what was asked for, all of it under the id of the request."""
    client = await speak(STATELESS)
    wanted = {
        "promptsListChanged": True,
        "resourceSubscriptions": ["test://watched-resource", "test://nothing"],
    }
    request = client.message("subscriptions/listen", {"notifications": wanted})
    told: list[Message] = []
    async with client.post(request) as stream:
        async for event in events(stream):
            assert event.message is not None
            told.append(event.message)
            if len(told) == 1:
                for tool in ("test_trigger_tool_change", "test_trigger_prompt_change", "test_update_resource"):
                    await client.call(tool)
            if len(told) == 3:
                break
    assert {message["params"]["_meta"][SUBSCRIPTION] for message in told} == {request["id"]}
    assert told[0]["method"] == "notifications/subscriptions/acknowledged"
    assert told[0]["params"]["notifications"] == wanted | {"resourceSubscriptions": ["test://watched-resource"]}
    assert [message["method"] for message in told[1:]] == [
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    ]


async def test_listening_needs_a_stream(speak: Speak) -> None:
    """A client that takes no event stream is told so."""
    client = await speak(STATELESS)
    request = client.message("subscriptions/listen", {"notifications": {}})
    assert (await failure(client, request, Accept="application/json"))[0] == 406


async def test_closing_the_connection_cancels_the_call(speak: Speak, waiting: WaitingPlugin) -> None:
    """There is no coming back in this revision; what runs stops, also where it might have become a task."""
    for capabilities in ({}, TASKS):
        client = await speak(STATELESS, capabilities=capabilities)
        call = asyncio.create_task(client.call("waiting.wait"))
        await waiting.began.wait()
        call.cancel()
        await waiting.cancelled.wait()


class Tasks:
    """A client that knows tasks."""

    def __init__(self, client: Speaker) -> None:
        self.client = client

    async def begin(self, tool: str, /, **arguments: Any) -> str:
        created = (await self.client.call(tool, **arguments)).result
        assert created["resultType"] == "task"
        return str(created["taskId"])

    async def get(self, id: str) -> dict[str, Any]:
        return dict((await self.client.ask("tasks/get", {"taskId": id})).result)

    async def until(self, id: str, *states: str) -> dict[str, Any]:
        while (task := await self.get(id))["status"] not in states:
            pass
        return task


async def test_a_task_that_is_polled(speak: Speak) -> None:
    """The result is in the task when it is done; progress is its status message."""
    tasks = Tasks(await speak(STATELESS, capabilities=TASKS))
    id = await tasks.begin("slow_compute", seconds=0.3)
    assert (await tasks.get(id))["statusMessage"] == "computing for 0.3 s"
    done = await tasks.until(id, "completed")
    assert done["result"]["content"][0]["text"] == "Computed it in 0.3 s"
    assert (await tasks.client.ask("tasks/cancel", {"taskId": id})).result["resultType"] == "complete"


async def test_a_task_fails_only_by_a_fault(speak: Speak) -> None:
    """A tool's error is a result; a broken tool fails the task, without a word about how."""
    tasks = Tasks(await speak(STATELESS, capabilities=TASKS))
    assert (await tasks.until(await tasks.begin("failing_job"), "completed"))["result"]["isError"] is True
    failed = await tasks.until(await tasks.begin("protocol_error_job"), "failed")
    assert failed["error"]["code"] == -32603
    assert "always breaks" not in str(failed)


async def test_a_task_is_cancelled(speak: Speak) -> None:
    """Cancelling stops the work."""
    tasks = Tasks(await speak(STATELESS, capabilities=TASKS))
    id = await tasks.begin("slow_compute", seconds=600)
    await tasks.client.ask("tasks/cancel", {"taskId": id})
    assert "result" not in await tasks.until(id, "cancelled")


async def test_a_task_asks(speak: Speak) -> None:
    """Its questions are in the task; answers may come one by one, and those that do not fit count as none."""
    asking = {"elicitation": {}, **TASKS}
    tasks = Tasks(await speak(STATELESS, capabilities=asking))
    id = await tasks.begin("multi_input")
    questions = (await tasks.until(id, "input_required"))["inputRequests"]
    for key in ("sure", "name"):
        assert key in (await tasks.get(id))["inputRequests"]
        for content in ({"name": 7, "confirm": "x"}, answers(questions[key])["content"]):
            given = {key: {"action": "accept", "content": content}, "other": {}}
            await tasks.client.ask("tasks/update", {"taskId": id, "inputResponses": given})
        assert key not in (await tasks.get(id)).get("inputRequests", {})
    assert (await tasks.until(id, "completed"))["result"]["content"][0]["text"] == "accept, accept"


async def test_a_task_after_a_question(speak: Speak) -> None:
    """What is asked before the task begins is a round trip of the call."""
    client = await speak(STATELESS, capabilities={"elicitation": {}, **TASKS})
    request: dict[str, Any] = {"name": "test_tool_with_task", "arguments": {}}
    first = (await client.ask("tools/call", request)).result
    request |= {"requestState": first["requestState"]}
    request["inputResponses"] = {key: answers(item) for key, item in first["inputRequests"].items()}
    created = (await client.ask("tools/call", request)).result
    done = await Tasks(client).until(created["taskId"], "completed")
    assert done["result"]["content"][0]["text"] == "Hello, Ada!"


async def test_tasks_are_told_of(speak: Speak) -> None:
    """`subscriptions/listen` takes task ids, and sends the task whenever it changes."""
    tasks = Tasks(await speak(STATELESS, capabilities=TASKS))
    id = await tasks.begin("slow_compute", seconds=600)
    request = tasks.client.message("subscriptions/listen", {"notifications": {"taskIds": [id, "nothing"]}})
    async with tasks.client.post(request) as stream:
        told = events(stream)
        agreed = (await anext(told)).message
        assert agreed is not None
        assert agreed["params"]["notifications"] == {"taskIds": [id]}
        await tasks.client.ask("tasks/cancel", {"taskId": id})
        change = (await anext(told)).message
        assert change is not None
        assert (change["method"], change["params"]["status"]) == ("notifications/tasks", "cancelled")


async def test_clients_without_tasks(speak: Speak) -> None:
    """A tool that may wait answers them directly; one that must not is -32021, and so are the tasks' own methods."""
    client = await speak(STATELESS, capabilities={})
    assert (await client.call("slow_compute", seconds=0.01)).result["resultType"] == "complete"
    for answer in (await client.call("failing_job"), await client.ask("tasks/get", {"taskId": "x"})):
        assert (answer.status, answer.error["code"]) == (400, -32021)
        assert answer.error["data"]["requiredCapabilities"] == TASKS
    request = client.message("subscriptions/listen", {"notifications": {"taskIds": ["x"]}})
    assert await failure(client, request) == (400, -32021)


async def test_a_task_is_its_callers_alone(speak: Speak) -> None:
    """Another one's task is not there."""
    client = await speak(STATELESS, capabilities=TASKS)
    answer = await client.ask("tasks/get", {"taskId": "guessed"})
    assert answer.error["code"] == -32602
