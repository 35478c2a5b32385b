"""One way to ask: the same tools ask a session's client by requests, and that of 2026-07-28 by round trips."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from gatelodge.contract import LOCAL_TENANT, Principal
from gatelodge.protocol.jsonrpc import ProtocolError
from gatelodge.protocol.roundtrip import STATE_SECONDS, Sealer, State

from .conftest import Speak
from .schema import SESSIONS, STATELESS
from .speaker import Answer, Message, Speaker, answers

pytestmark = pytest.mark.asyncio(loop_scope="session")

ERAS = pytest.mark.parametrize("revision", [STATELESS, "2025-11-25"])


async def through(client: Speaker, tool: str, **arguments: Any) -> tuple[Answer, list[Message]]:
    """Call a tool and answer whatever it asks, in either form; the result, and what was asked."""
    if not client.stateless:
        answer = await client.call(tool, **arguments)
        return answer, answer.requests
    asked: list[Message] = []
    extra: dict[str, Any] = {}
    while True:
        answer = await client.ask("tools/call", {"name": tool, "arguments": arguments, **extra})
        if "error" in answer.response or answer.result["resultType"] != "input_required":
            return answer, asked
        questions = answer.result["inputRequests"]
        asked += questions.values()
        extra = {"inputResponses": {key: answers(item) for key, item in questions.items()}}
        extra["requestState"] = answer.result["requestState"]


def text(answer: Answer) -> str:
    return str(answer.result["content"][0]["text"])


@ERAS
async def test_a_form(speak: Speak, revision: str) -> None:
    """The user's input comes back typed by the form's schema."""
    answer, asked = await through(await speak(revision), "test_input_required_result_elicitation")
    assert text(answer) == "Hello, Ada!"
    assert [item["method"] for item in asked] == ["elicitation/create"]
    assert asked[0]["params"]["requestedSchema"]["required"] == ["name"]


@ERAS
async def test_a_page(speak: Speak, revision: str) -> None:
    """The user visits an address; nothing of it passes through the client."""
    answer, asked = await through(await speak(revision), "test_elicitation_url")
    assert text(answer) == "User response: accept"
    assert asked[0]["params"]["url"] == "https://example.com/sign-in"


@ERAS
async def test_the_model_and_the_roots(speak: Speak, revision: str) -> None:
    """Sampling and roots are questions like any other, and several are asked at once."""
    client = await speak(revision)
    assert text((await through(client, "test_input_required_result_sampling"))[0]) == "Paris"
    assert text((await through(client, "test_input_required_result_list_roots"))[0]) == "Roots: file:///work"
    answer, asked = await through(client, "test_input_required_result_multiple_inputs")
    assert text(answer) == "Paris {'name': 'Ada'} 1"
    assert {item["method"] for item in asked} == {"elicitation/create", "sampling/createMessage", "roots/list"}


@ERAS
async def test_one_question_after_the_other(speak: Speak, revision: str) -> None:
    """Earlier answers are not asked for again."""
    answer, asked = await through(await speak(revision), "test_input_required_result_multi_round")
    assert text(answer) == "Ada likes Ada"
    assert len(asked) == 2


@pytest.mark.parametrize("revision", SESSIONS)
async def test_a_session_client_that_cannot_be_asked(speak: Speak, revision: str) -> None:
    """The tool's result says what the client would have to support."""
    client = await speak(revision, capabilities={})
    answer = await client.call("test_missing_capability")
    assert answer.result["isError"] is True
    assert "sampling" in text(answer)


async def test_a_stateless_client_that_cannot_be_asked(speak: Speak) -> None:
    """400 and -32021 with the capabilities that are missing."""
    client = await speak(STATELESS, capabilities={})
    answer = await client.call("test_missing_capability")
    assert (answer.status, answer.error["code"]) == (400, -32021)
    assert answer.error["data"]["requiredCapabilities"] == {"sampling": {}}


async def test_what_a_tool_may_find_out_first(speak: Speak) -> None:
    """`call.can_ask` tells; a client with a model alone is asked only that."""
    answer, asked = await through(
        await speak(STATELESS, capabilities={"sampling": {}}), "test_input_required_result_capabilities"
    )
    assert [item["method"] for item in asked] == ["sampling/createMessage"]
    assert text(answer) == "1 answers"


@ERAS
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_does_not_want_to(speak: Speak, revision: str, action: str) -> None:
    """Declining is an answer, without content."""
    client = await speak(revision, respond=lambda request: {"action": action})
    name = {"name": "test_elicitation", "arguments": {"message": "Who?"}}
    if client.stateless:
        first = (await client.ask("tools/call", name)).result
        name |= {"requestState": first["requestState"], "inputResponses": {"user": {"action": action}}}
    assert text(await client.ask("tools/call", name)) == f"User response: action={action}, content={{}}"


async def test_a_client_that_fails_to_answer(speak: Speak) -> None:
    """Its error, and an answer that does not fit the form, come to the tool as a failure."""
    failing = await speak("2025-11-25", respond=lambda request: {"code": -1, "message": "User rejected sampling"})
    assert "User rejected sampling" in text(await failing.call("test_sampling", prompt="Hello"))
    strange = await speak("2025-11-25", respond=lambda request: {"action": "accept", "content": {"name": 7}})
    assert "validation_error" in text(await strange.call("test_input_required_result_elicitation"))


async def test_an_answer_that_does_not_fit_is_asked_for_again(speak: Speak) -> None:
    """In 2026-07-28 the question simply comes back; what is no object at all is refused."""
    client = await speak(STATELESS)
    name = {"name": "test_input_required_result_elicitation", "arguments": {}}
    wrong = {"user_name": {"action": "accept", "content": {"name": 7}}}
    again = await client.ask("tools/call", name | {"inputResponses": wrong})
    assert list(again.result["inputRequests"]) == ["user_name"]


@pytest.mark.parametrize(
    "change",
    [
        {"requestState": "nonsense"},
        {"requestState": ""},
        {"arguments": {"extra": 1}},
        {"name": "test_input_required_result_tampered_state"},
    ],
)
async def test_state_that_was_tampered_with_or_moved(speak: Speak, change: Mapping[str, Any]) -> None:
    """State holds for the request it was made for, unchanged, and for nothing else."""
    client = await speak(STATELESS)
    request: dict[str, Any] = {"name": "test_input_required_result_request_state", "arguments": {}}
    state = (await client.ask("tools/call", request)).result["requestState"]
    request |= {"requestState": state, "inputResponses": {"confirm": {"action": "accept", "content": {"ok": True}}}}
    assert "state-ok" in text(await client.ask("tools/call", request))
    assert (await client.ask("tools/call", request | change)).error["code"] == -32602


async def test_state_of_another_caller_or_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal binds the principal, and its time is bounded."""
    sealer = Sealer("secret")
    mine = Principal(tenant=LOCAL_TENANT, user="me", method="test").identity
    other = Principal(tenant=LOCAL_TENANT, user="you", method="test").identity
    held = State("nonce", frozenset({"next"}), {"key": {"action": "accept"}})
    state = sealer.seal([mine, "tools/call"], held)
    assert sealer.open([mine, "tools/call"], state) == held
    assert Sealer("secret").open([mine, "tools/call"], state)
    with pytest.raises(ProtocolError):
        sealer.open([other, "tools/call"], state)
    later = time.time() + STATE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(ProtocolError, match="expired"):
        sealer.open([mine, "tools/call"], state)


@ERAS
async def test_a_prompt_that_asks(speak: Speak, revision: str) -> None:
    """Prompts ask in the same way as tools."""
    client = await speak(revision)
    request: dict[str, Any] = {"name": "test_input_required_result_prompt"}
    if client.stateless:
        first = (await client.ask("prompts/get", request)).result
        given = {"user_context": {"action": "accept", "content": {"context": "Ada"}}}
        request |= {"requestState": first["requestState"], "inputResponses": given}
    message = (await client.ask("prompts/get", request)).result["messages"][0]
    assert message["content"]["text"] == "Context: Ada"


async def test_the_clock_stands_still_while_the_user_thinks(speak: Speak) -> None:
    """A question may take longer to answer than a call may run."""
    client = await speak("2025-11-25")
    began = asyncio.Event()

    def think(request: Message) -> Message:
        began.set()
        return answers(request)

    client.respond = think
    assert text(await client.call("test_input_required_result_elicitation")) == "Hello, Ada!"
    assert began.is_set()
