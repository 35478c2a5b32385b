"""The user has the last word, where the operator's policy says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from marshmallow import Schema, fields

from gatelodge import OVERWRITE, READ, WRITE, Call, Tool, hookimpl
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..protocol.speaker import Answer, Message, Speaker

ERAS = pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
QUIET = {"MCP_RATE_LIMIT_ENABLED": "false"}


class Target(Schema):
    name = fields.String(required=True)


class Preview(Target):
    dry_run = fields.Boolean(load_default=False)


class HousePlugin:
    """Tools that look, add and tear down; `done` holds what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.intent = "tear"

    async def handle(self, call: Call) -> Mapping[str, Any]:
        name = call.arguments["name"]
        if call.arguments.get("dry_run"):
            return {"would": f"{self.intent} {name} down"}
        self.done.append(f"{call.name} {name}")
        return {"did": name}

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        kinds = (("look", READ, Target), ("add", WRITE, Target), ("raze", OVERWRITE, Preview))
        return tuple(
            Tool(
                name=f"house.{verb}",
                title=verb.title(),
                description=f"To {verb}.",
                input=schema,
                handler=self.handle,
                annotations=annotations,
            )
            for verb, annotations, schema in kinds
        )


async def through(gate: Gatelodge, revision: str, tool: str, action: str) -> tuple[Answer, list[Message]]:
    """Call a tool as a client whose user does that when asked; the answer, and what was asked."""
    asked: list[Message] = []

    def respond(question: Message) -> Message:
        asked.append(question)
        return {"action": action} | ({"content": {}} if action == "accept" else {})

    client = await Speaker(gate.session, gate.url, revision, respond=respond).open()
    arguments, extra = {"name": "shed"}, {}
    while True:
        answer = await client.ask("tools/call", {"name": tool, "arguments": arguments, **extra})
        if answer.result.get("resultType") != "input_required":
            return answer, asked
        questions = answer.result["inputRequests"]
        extra = {"inputResponses": {key: respond(item) for key, item in questions.items()}}
        extra["requestState"] = answer.result["requestState"]


def refusal(answer: Answer) -> str:
    assert answer.result["isError"]
    error = json.loads(answer.result["content"][0]["text"])["error"]
    assert error["code"] == "forbidden"
    return str(error["message"])


@ERAS
async def test_the_user_is_shown_what_would_be_done(open_gatelodge: OpenGatelodge, revision: str) -> None:
    """A destructive tool acts once, after the user saw the tool's own preview and consented."""
    house = HousePlugin()
    gate = await open_gatelodge(("house", house), GATELODGE_CONFIRM="destructive", **QUIET)
    answer, asked = await through(gate, revision, "house.raze", "accept")
    assert [item["params"]["message"] for item in asked] == ['Raze? house.raze would do: {"would":"tear shed down"}']
    assert answer.result["structuredContent"] == {"did": "shed"}
    assert house.done == ["house.raze shed"]


@ERAS
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_without_consent_nothing_is_done(open_gatelodge: OpenGatelodge, revision: str, action: str) -> None:
    """A user who declines, or closes the question, has refused."""
    house = HousePlugin()
    gate = await open_gatelodge(("house", house), GATELODGE_CONFIRM="destructive", **QUIET)
    answer, asked = await through(gate, revision, "house.raze", action)
    assert refusal(answer) == "The user did not consent to house.raze."
    assert (len(asked), house.done) == (1, [])


async def test_consent_cannot_be_brought_along(open_gatelodge: OpenGatelodge) -> None:
    """An answer counts only to a question that this server has asked, about just this call, and shows just this effect."""
    house = HousePlugin()
    gate = await open_gatelodge(("house", house), GATELODGE_CONFIRM="destructive", **QUIET)
    client = await Speaker(gate.session, gate.url, "2026-07-28").open()
    request: dict[str, Any] = {"name": "house.raze", "arguments": {"name": "shed"}}
    first = (await client.ask("tools/call", request)).result
    yes = {key: {"action": "accept", "content": {}} for key in first["inputRequests"]}
    unasked = (await client.ask("tools/call", request | {"inputResponses": yes})).result
    assert unasked["resultType"] == "input_required"
    house.intent = "burn"  # what is shown now is not what the user saw
    consent = {"requestState": first["requestState"], "inputResponses": yes}
    again = (await client.ask("tools/call", request | consent)).result
    assert again["resultType"] == "input_required"
    assert "burn shed down" in next(iter(again["inputRequests"].values()))["params"]["message"]
    other = await client.ask("tools/call", request | consent | {"arguments": {"name": "house"}})
    assert other.error["code"] == -32602
    assert house.done == []


async def test_consent_is_to_what_did_not_fit_too(open_gatelodge: OpenGatelodge) -> None:
    """Of a long preview the user sees the beginning; when what follows is another thing by then, they are asked again."""
    house = HousePlugin()
    gate = await open_gatelodge(("house", house), GATELODGE_CONFIRM="destructive", **QUIET)
    client = await Speaker(gate.session, gate.url, "2026-07-28").open()
    request: dict[str, Any] = {"name": "house.raze", "arguments": {"name": "shed"}}
    house.intent = "tear" + 5000 * " " + "softly"
    first = (await client.ask("tools/call", request)).result
    house.intent = "tear" + 5000 * " " + "wildly"
    yes = {key: {"action": "accept", "content": {}} for key in first["inputRequests"]}
    consent = {"requestState": first["requestState"], "inputResponses": yes}
    again = (await client.ask("tools/call", request | consent)).result
    assert again["resultType"] == "input_required"
    shown = [next(iter(answer["inputRequests"].values()))["params"]["message"] for answer in (first, again)]
    assert shown[0] == shown[1]
    assert house.done == []


async def test_a_name_that_protects_nothing_is_logged(
    open_gatelodge: OpenGatelodge, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip in what is to be asked about would otherwise show when it is too late."""
    await open_gatelodge(("house", HousePlugin()), GATELODGE_CONFIRM_TOOLS="house_raze,house.rase,nothing.*", **QUIET)
    assert [line for line in caplog.messages if line.startswith("confirm_tools")] == [
        "confirm_tools names what no tool is called: house.rase, nothing.*; see: gatelodge tools list"
    ]


async def test_one_consent_is_to_one_effect(open_gatelodge: OpenGatelodge) -> None:
    """A client that sends the user's consent again, under whatever key, gets the first result and does nothing more."""
    house = HousePlugin()
    gate = await open_gatelodge(("house", house), GATELODGE_CONFIRM="destructive", **QUIET)
    client = await Speaker(gate.session, gate.url, "2026-07-28").open()
    request: dict[str, Any] = {"name": "house.raze", "arguments": {"name": "shed"}}
    first = (await client.ask("tools/call", request)).result
    request["requestState"] = first["requestState"]
    request["inputResponses"] = {key: {"action": "accept", "content": {}} for key in first["inputRequests"]}
    sent = [await client.ask("tools/call", request) for _ in range(3)]
    assert [answer.result["structuredContent"] for answer in sent] == [{"did": "shed"}] * 3
    assert [answer.result["_meta"].get("gatelodge/replayed") for answer in sent] == [None, True, True]
    keyed = await client.ask("tools/call", request, **{"Idempotency-Key": "another"})
    keyed_in_meta = await client.ask("tools/call", request | {"_meta": {"gatelodge/idempotency-key": "another"}})
    assert [keyed.error["code"], keyed_in_meta.error["code"]] == [-32602, -32602]
    assert house.done == ["house.raze shed"]


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, set()),
        ({"GATELODGE_CONFIRM": "destructive"}, {"raze"}),
        ({"GATELODGE_CONFIRM": "writes"}, {"add", "raze"}),
        ({"GATELODGE_CONFIRM_TOOLS": "house.look,sql.*"}, {"look"}),
        ({"GATELODGE_CONFIRM": "destructive", "GATELODGE_CONFIRM_TOOLS": "*.add"}, {"add", "raze"}),
    ],
)
async def test_who_is_asked_about_what(open_gatelodge: OpenGatelodge, settings: dict[str, str], asks: set[str]) -> None:
    """By kind of tool and by name; nobody is asked unless the operator says so, and a preview is never asked about."""
    gate = await open_gatelodge(("house", HousePlugin()), **settings, **QUIET)
    asked = {
        verb for verb in ("look", "add", "raze") if (await through(gate, "2026-07-28", f"house.{verb}", "accept"))[1]
    }
    assert asked == asks
    assert await gate.call("house.raze", name="shed", dry_run=True) == {"would": "tear shed down"}


async def test_a_client_that_cannot_ask(open_gatelodge: OpenGatelodge) -> None:
    """Without a way to the user (over REST, or without elicitation) the policy says refuse, or allow."""
    for unable, outcome in (("refuse", "forbidden"), ("allow", "ok")):
        settings = {"GATELODGE_CONFIRM": "writes", "GATELODGE_CONFIRM_UNABLE": unable, **QUIET}
        gate = await open_gatelodge(("house", HousePlugin()), **settings)
        body = {"name": "house.add", "arguments": {"name": "shed"}}
        async with gate.session.post(f"{gate.url}/tools/invoke", json=body) as reply:
            assert (await reply.json()).get("error", {}).get("code", "ok") == outcome
        client = await Speaker(gate.session, gate.url, "2026-07-28", capabilities={}).open()
        answer = await client.call("house.add", name="shed")
        assert bool(answer.result.get("isError")) == (outcome == "forbidden")
