"""Discovery and its policy: who owns what, what a broken plugin costs, and the order of middleware."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema

from gatelodge import (
    READ,
    Call,
    Environment,
    ErrorCode,
    Middleware,
    Next,
    Phase,
    Result,
    StartupError,
    Tool,
    ToolError,
    hookimpl,
)
from gatelodge.dispatch import compile_tool, fold
from gatelodge.plugins import Plugins
from gatelodge.testing import OpenGatelodge

BUILT_IN_ORDER = [
    "trace",
    "metrics",
    "audit",
    "access",
    "validation",
    "rate_limits",
    "idempotency",
    "intent",
    "cache",
    "deadline",
]


class Nothing(Schema):
    pass


async def answer(call: Call) -> Mapping[str, Any]:
    return {}


def tool(name: str) -> Tool:
    return Tool(name=name, title="x", description="x", input=Nothing, handler=answer, annotations=READ)


class One:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (tool("one.a"),)


class Rival:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (tool("one.a"),)


class Breaks:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        raise RuntimeError("out of cheese")


class BreaksAsPolicy(Breaks):
    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return ()


class Misspelt:
    @hookimpl
    def gatelodge_tolls(self) -> Sequence[Tool]:
        return ()


class Unmarked:
    def gatelodge_tools(self) -> Sequence[Tool]:
        return ()


def configured(*plugins: tuple[str, Any]) -> Plugins:
    found = Plugins()
    found.load(plugins)
    found.configure(Environment({}))
    return found


def test_jira_and_sql_come_in_by_entry_points_alone() -> None:
    """Nothing in the core names them; their tools are there with their owner."""
    tools = configured().catalogue.tools
    assert {owner for owner, _ in tools.values()} == {"jira", "sql"}
    assert len(tools) == 14


def test_two_owners_of_one_tool_stop_the_start() -> None:
    """The error names both."""
    with pytest.raises(StartupError, match=r"one.a .*first.*second") as caught:
        configured(("first", One), ("second", Rival))
    assert caught.value.code == "plugin_conflict"


class Shadow:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (tool("one_a"),)


def test_two_tools_of_one_alias_stop_the_start() -> None:
    """A plugin may not slip in between a tool and those who call it, or list it, by its alias."""
    with pytest.raises(StartupError, match=r"one.a and one_a are both one_a: first.* and second") as caught:
        configured(("first", One), ("second", Shadow))
    assert caught.value.code == "plugin_conflict"


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a\n", "a*", "a/b", "ä", "a[b]"])
def test_a_tool_has_a_name_that_clients_take(name: str) -> None:
    """One that would break a client's list, a header or a pattern is its plugin's failure."""
    with pytest.raises(ValueError, match="name is 1 to 64"):
        compile_tool("one", tool(name))


def test_two_plugins_of_one_name_stop_the_start() -> None:
    """Also when one of them is built in."""
    with pytest.raises(StartupError, match="two plugins are named jira"):
        configured(("jira", One))


@pytest.mark.parametrize("plugin", [Misspelt, Unmarked])
def test_a_hook_that_would_never_run_stops_the_start(plugin: type[Any]) -> None:
    """A misspelt name and a forgotten marker are errors."""
    with pytest.raises(StartupError) as caught:
        configured(("odd", plugin))
    assert caught.value.code == "plugin_unknown_hook"


def test_a_broken_tool_plugin_is_left_out_and_told() -> None:
    """The others stand."""
    catalogue = configured(("breaks", Breaks), ("one", One)).catalogue
    assert [(item.name, item.reason) for item in catalogue.broken] == [("breaks", "RuntimeError: out of cheese")]
    assert "one.a" in catalogue.tools


def test_a_broken_policy_plugin_stops_the_start() -> None:
    """A server without a part of its policy is no server."""
    with pytest.raises(StartupError, match="out of cheese"):
        configured(("breaks", BreaksAsPolicy))


def test_an_unknown_setting_stops_the_start() -> None:
    """With the name that was probably meant."""
    found = Plugins()
    found.load()
    with pytest.raises(StartupError, match="did you mean JIRA_URL") as caught:
        found.configure(Environment({"JIRA_ULR": "http://x"}))
    assert caught.value.code == "setting_unknown"


async def test_only_what_serves_something_may_have_a_listener(open_gatelodge: OpenGatelodge) -> None:
    """A plugin of policy alone has no port, so a setting for one is unknown; a tool of its own makes it known."""
    with pytest.raises(StartupError, match="MCP_ACCESS_PORT") as caught:
        await open_gatelodge(MCP_ACCESS_PORT="0")
    assert caught.value.code == "setting_unknown"
    gate = await open_gatelodge(("one", One), MCP_ONE_PORT="0")
    assert set(gate.urls) == {"hub", "jira", "sql", "one"}


async def test_the_built_in_middleware_stands_in_the_agreed_order(open_gatelodge: OpenGatelodge) -> None:
    """Outermost first; a built-in that is not listed here may stand between them."""
    gate = await open_gatelodge()
    names = [item.name for item in gate.server.catalogue.middleware]
    agreed = [name for name in names if name in BUILT_IN_ORDER]
    assert agreed == [name for name in BUILT_IN_ORDER if name in names]
    assert {"audit", "access", "validation", "rate_limits", "idempotency", "intent", "cache", "deadline"} <= set(names)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(list(Phase)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_middleware_stands_by_phase_and_tryfirst_is_outermost(phases: list[Phase], chance: random.Random) -> None:
    """In whatever order plugins register it."""
    plugins = []
    for number, phase in enumerate(phases):
        plugins.append((f"p{number}", _bringing(f"m{number}", phase, first=chance.random() < 0.3)))
    chance.shuffle(plugins)
    order = [item for item in configured(*plugins).catalogue.middleware if item.name.startswith("m")]
    own = [item for item in order if item.name[1:].isdigit()]
    assert [item.phase for item in own] == sorted(phases)
    for outer, inner in pairwise(own):
        if outer.phase == inner.phase:
            firsts = {name: plugin.first for name, plugin in plugins}
            assert firsts[f"p{outer.name[1:]}"] >= firsts[f"p{inner.name[1:]}"]


def _bringing(name: str, phase: Phase, *, first: bool) -> Any:
    async def passing(call: Call, call_next: Next) -> Result:
        return await call_next(call)

    class Brings:
        @hookimpl(tryfirst=first)
        def gatelodge_middleware(self) -> Sequence[Middleware]:
            return (Middleware(name, phase, passing),)

    plugin = Brings()
    plugin.first = first  # type: ignore[attr-defined]
    return plugin


async def test_the_fold_runs_outermost_first_and_back() -> None:
    """Each middleware sees the call before, and the result after, all that stand inside it."""
    seen: list[str] = []

    def named(name: str) -> Middleware:
        async def handle(call: Call, call_next: Next) -> Result:
            seen.append(f"{name} in")
            result = await call_next(call)
            seen.append(f"{name} out")
            return result

        return Middleware(name, Phase.CACHE, handle)

    async def end(call: Call) -> Result:
        seen.append("end")
        return Result()

    await fold([named("a"), named("b")], end)(None)  # type: ignore[arg-type]
    assert seen == ["a in", "b in", "end", "b out", "a out"]


class Fails:
    """A tool that raises, and one that breaks its own schema."""

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        async def explode(call: Call) -> Mapping[str, Any]:
            raise RuntimeError("secret-canary")

        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        shared = {"title": "x", "description": "x", "input": Nothing, "annotations": READ}
        return (
            Tool(name="fails.explode", handler=explode, **shared),
            Tool(name="fails.lies", handler=answer, output=schema, **shared),
        )


@pytest.mark.parametrize("name", ["fails.explode", "fails.lies"])
async def test_a_failure_nobody_foresaw_is_internal_and_tells_nothing(open_gatelodge: OpenGatelodge, name: str) -> None:
    """The caller gets a code and an id; the cause is in the log."""
    gate = await open_gatelodge(("fails", Fails))
    with pytest.raises(ToolError) as caught:
        await gate.call(name)
    assert caught.value.code is ErrorCode.INTERNAL
    assert "canary" not in caught.value.message
