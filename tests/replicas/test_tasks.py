"""A task that one replica runs, seen, answered and cancelled on the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ..protocol.schema import STATELESS
from ..protocol.speaker import TASKS, Speaker, events
from .conftest import ANN, BOB, Pair

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def begin(pair: Pair, tool: str, **arguments: Any) -> tuple[Speaker, str]:
    """A client that speaks to the second replica, and the id of its task on the first."""
    client = await pair.speak(STATELESS, capabilities=TASKS | {"elicitation": {"form": {}}})
    answer = await client.call(tool, **arguments)
    assert answer.result["resultType"] == "task"
    return pair.to_b(client), str(answer.result["taskId"])


async def until(client: Speaker, id: str, status: str) -> dict[str, Any]:
    """The task once it has that status."""
    async with asyncio.timeout(20):
        while (task := (await client.ask("tasks/get", {"taskId": id})).result)["status"] != status:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(0.05)
    return dict(task)


async def test_a_task_is_polled(pair: Pair) -> None:
    """At once, and to its result."""
    client, id = await begin(pair, "slow_compute", seconds=0.5, label="pi")
    first = (await client.ask("tasks/get", {"taskId": id})).result
    assert (first["taskId"], first["status"]) == (id, "working")
    done = await until(client, id, "completed")
    assert done["result"]["content"][0]["text"] == "Computed pi in 0.5 s"
    assert await until(pair.to_a(client), id, "completed") == done


async def test_a_task_is_answered(pair: Pair) -> None:
    """What it asks is seen, and the answer reaches it."""
    client, id = await begin(pair, "confirm_delete", filename="a.txt")
    asking = await until(client, id, "input_required")
    assert asking["inputRequests"]["confirm"]["method"] == "elicitation/create"
    given = {"confirm": {"action": "accept", "content": {"confirm": True}}}
    await client.ask("tasks/update", {"taskId": id, "inputResponses": given})
    done = await until(client, id, "completed")
    assert done["result"]["content"][0]["text"] == "Deleted a.txt"
    await client.ask("tasks/update", {"taskId": id, "inputResponses": given})


async def test_a_task_is_cancelled(pair: Pair) -> None:
    """Its replica stops it."""
    client, id = await begin(pair, "slow_compute", seconds=600)
    await client.ask("tasks/cancel", {"taskId": id})
    assert await until(client, id, "cancelled") == await until(pair.to_a(client), id, "cancelled")


async def test_a_task_is_told_of(pair: Pair) -> None:
    """`subscriptions/listen` on the other replica sends it whenever it changes."""
    client, id = await begin(pair, "slow_compute", seconds=600)
    request = client.message("subscriptions/listen", {"notifications": {"taskIds": [id, "nothing", "x.y"]}})
    async with client.post(request) as reply:
        told = events(reply)
        agreed = (await anext(told)).message
        assert agreed is not None
        assert agreed["params"]["notifications"] == {"taskIds": [id]}
        await pair.to_a(client).ask("tasks/cancel", {"taskId": id})
        async for event in told:
            assert event.message is not None
            if event.message["params"]["status"] == "cancelled":
                break


async def test_a_task_is_its_callers_alone(pair: Pair) -> None:
    """Another caller finds none of this id, sees nothing of it, and cannot stop it."""
    client, id = await begin(pair, "slow_compute", seconds=600)
    client.http.headers.update(BOB)
    try:
        for turn in (pair.to_a, pair.to_b):
            for method, more in (("get", {}), ("cancel", {}), ("update", {"inputResponses": {}})):
                answer = await turn(client).ask(f"tasks/{method}", {"taskId": id, **more})
                assert answer.error["message"] == "taskId: there is no such task"
    finally:
        client.http.headers.update(ANN)
    assert (await client.ask("tasks/get", {"taskId": id})).result["status"] == "working"
    await client.ask("tasks/cancel", {"taskId": id})
