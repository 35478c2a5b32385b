"""What a caller meets at the limits: which are counted, which refuse, and what the refusal says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from gatelodge import OVERWRITE, Call, Principal, StartupError
from gatelodge.limiter.subjects import network_of
from gatelodge.middleware.rate_limits import RateLimitsPlugin
from gatelodge.storage.redis import connect

from ..policed import ALICE, BOB, STRANGER, Plain, Post, a_tool, policed

OFF = {"GATELODGE_RATE_LIMIT_USER": "off"}


async def outcomes(post: Post, count: int, *args: object, **more: object) -> list[str]:
    return [(await post.call(*args, **more)).outcome for _ in range(count)]


async def test_a_user_has_a_hundred_calls_at_once_by_default() -> None:
    """The hundred-and-first is refused with a stable code, the limit and when to come again."""
    async with policed(RateLimitsPlugin()) as post:
        tool = a_tool(arguments=Plain)
        assert set(await outcomes(post, 100, tool)) == {"ok"}
        while (refused := (await post.call(tool)).error) is None:
            pass  # on a slow machine a unit may have come back
    assert (refused.code, refused.status) == ("rate_limited", 429)
    assert refused.details == {"policy": "user-minute", "limit": 100, "window": 60}
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 0.6


async def test_a_jira_instance_has_its_own_limit() -> None:
    """`RATE_LIMIT_DEFAULT` in `RATE_LIMIT_WINDOW` counts an instance over all users, and only tools that have one."""
    variables = OFF | {"RATE_LIMIT_DEFAULT": "2", "RATE_LIMIT_WINDOW": "86400"}
    async with policed(RateLimitsPlugin(), variables) as post:
        tool = a_tool()
        assert await outcomes(post, 2, tool, instance_id="one") == ["ok", "ok"]
        assert await outcomes(post, 1, tool, BOB, instance_id="one") == ["rate_limited"]
        assert await outcomes(post, 3, tool) == ["ok", "ok", "rate_limited"]
        assert await outcomes(post, 1, tool, instance_id="default") == ["rate_limited"]
        assert await outcomes(post, 1, tool, STRANGER, instance_id="one") == ["ok"]
        assert await outcomes(post, 9, a_tool("demo.plain", arguments=Plain)) == ["ok"] * 9


async def test_what_does_not_say_where_it_goes_counts_everywhere() -> None:
    """A call that may reach several instances takes from each; the reply shows the one with the least left."""

    async def meant(call: Call) -> Sequence[str]:
        named = call.arguments.get("instance_id")
        return ["one", "two"] if named is None else [str(named)]

    variables = OFF | {"RATE_LIMIT_DEFAULT": "3", "RATE_LIMIT_WINDOW": "86400"}
    async with policed(RateLimitsPlugin(), variables) as post:
        tool = replace(a_tool(), tool=replace(a_tool().tool, instances=meant))
        assert await outcomes(post, 1, tool, instance_id="one") == ["ok"]
        assert (await post.call(tool)).headers["RateLimit"].startswith('"instance-day";r=1;')
        assert await outcomes(post, 2, tool, instance_id="one") == ["ok", "rate_limited"]
        assert await outcomes(post, 1, tool) == ["rate_limited"]
        assert await outcomes(post, 3, tool, instance_id="two") == ["ok", "ok", "rate_limited"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff::2%eth0", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("/run/socket", "/run/socket"),
        (None, None),
    ],
)
def test_a_host_has_no_more_than_one_address(address: str | None, counted: str | None) -> None:
    """Of IPv6 a host may use any in its /64, so they count as one; both forms of an IPv4 address are the same."""
    assert network_of(address) == counted


@pytest.mark.parametrize(
    ("subject", "shared", "apart"),
    [
        ("USER", ALICE, BOB),
        ("ADDRESS", ALICE, BOB),
        ("TENANT", BOB, STRANGER),
        ("TOOL", BOB, STRANGER),
    ],
)
async def test_each_subject_is_counted_inside_its_tenant(subject: str, shared: Principal, apart: Principal) -> None:
    """Two calls a day for one address, user, tenant or tool: the third is refused, another subject's passes."""
    async with policed(RateLimitsPlugin(), OFF | {f"GATELODGE_RATE_LIMIT_{subject}": "2/day"}) as post:
        assert await outcomes(post, 2, a_tool()) == ["ok", "ok"]
        assert await outcomes(post, 1, a_tool(), shared) == ["rate_limited"]
        assert await outcomes(post, 1, a_tool(), apart) == ["ok"]
        assert await outcomes(post, 1, a_tool(), STRANGER) == ["ok"]


@pytest.mark.parametrize(
    ("tool", "declared", "passing"), [("rare", 1, 1), ("free", 1, 20), ("dear", 1, 2), ("own", 4, 2), ("none", 4, 20)]
)
async def test_tools_have_quotas_and_costs_of_their_own(tool: str, declared: int, passing: int) -> None:
    """By name or pattern in the settings; a tool may name its cost, the operator's word counts over it."""
    variables = OFF | {
        "GATELODGE_RATE_LIMIT_TOOLS": "demo.ra*=1/day; demo.free=off",
        "GATELODGE_RATE_LIMIT_TOOL": "10/day",
        "GATELODGE_RATE_LIMIT_COSTS": "demo.dear=5; demo.none=0",
    }
    async with policed(RateLimitsPlugin(), variables) as post:
        compiled = a_tool(f"demo.{tool}", arguments=Plain, meta={"gatelodge/cost": declared})
        assert (await outcomes(post, 20, compiled)).count("ok") == passing


async def test_a_call_dearer_than_the_limit_takes_all_of_it() -> None:
    """It could never run otherwise."""
    async with policed(RateLimitsPlugin(), {"GATELODGE_RATE_LIMIT_USER": "10/day"}) as post:
        whale = a_tool("demo.whale", arguments=Plain, meta={"gatelodge/cost": 99})
        assert await outcomes(post, 2, whale) == ["ok", "rate_limited"]


async def test_shadow_limits_count_and_refuse_nothing() -> None:
    """A limit in shadow shows in the counts only, and may be put in force while the server runs."""
    variables = {"GATELODGE_RATE_LIMIT_USER": "1/day", "GATELODGE_RATE_LIMIT_SHADOW": "user"}
    async with policed(RateLimitsPlugin(), variables) as post:
        assert await outcomes(post, 3, a_tool()) == ["ok"] * 3
        assert post.plugin.limiter.counts["shadowed:user-day"] == 2
        post.set("rate_limit_shadow", [])
        assert await outcomes(post, 1, a_tool()) == ["rate_limited"]


async def test_limits_change_while_the_server_runs() -> None:
    """Quotas for all, for one tenant, for one key over its tenant; and the switch for the whole."""
    key = Principal(tenant=ALICE.tenant, user="carol", method="api_key", key_id="k1")
    async with policed(RateLimitsPlugin(), OFF) as post:
        post.set("rate_limits", {"user": "1/day"})
        assert await outcomes(post, 2, a_tool(), STRANGER) == ["ok", "rate_limited"]
        post.set("rate_limit_overrides", {str(ALICE.tenant): {"user": "2/day"}, "key:k1": {"user": "3/day"}})
        assert await outcomes(post, 3, a_tool()) == ["ok", "ok", "rate_limited"]
        assert await outcomes(post, 4, a_tool(), key) == ["ok", "ok", "ok", "rate_limited"]
        assert await outcomes(post, 1, a_tool(), STRANGER) == ["rate_limited"]
        post.set("rate_limit_enabled", False)
        assert await outcomes(post, 1, a_tool(), STRANGER) == ["ok"]


async def test_they_can_be_switched_off() -> None:
    """`MCP_RATE_LIMIT_ENABLED=false` counts nothing and says nothing."""
    async with policed(RateLimitsPlugin(), {"MCP_RATE_LIMIT_ENABLED": "false"}) as post:
        assert set(await outcomes(post, 101, a_tool())) == {"ok"}
        assert (await post.call(a_tool())).headers == {}


async def test_headers_say_what_is_left() -> None:
    """`RateLimit-Policy` and `RateLimit` have a member each policy, on answers, failures and refusals alike."""

    async def fail(call: object) -> object:
        raise RuntimeError

    variables = {"GATELODGE_RATE_LIMIT_USER": "3/day,600/minute burst 5", "GATELODGE_RATE_LIMIT_SHADOW": "instance"}
    async with policed(RateLimitsPlugin(), variables) as post:
        first = await post.call(a_tool())
        failed = await post.call(a_tool("demo.fail", handler=fail))
        await post.call(a_tool())
        refused = (await post.call(a_tool())).error
    assert first.headers["RateLimit-Policy"] == '"user-day";q=3;w=86400, "user-minute";q=600;w=60'
    assert first.headers["RateLimit"] == '"user-day";r=2;t=28800, "user-minute";r=4;t=1'
    assert re.match(r'"user-day";r=1;t=57[56]\d\d, "user-minute";r=[34];t=1', failed.headers["RateLimit"])
    assert refused is not None
    assert refused.headers["RateLimit"].startswith('"user-day";r=0;t=86')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATELODGE_RATE_LIMIT_USER", "lots"),
        ("GATELODGE_RATE_LIMIT_USER", "0/day"),
        ("GATELODGE_RATE_LIMIT_USER", "1/day,2/24h"),
        ("GATELODGE_RATE_LIMIT_USER", "1/999d"),
        ("GATELODGE_RATE_LIMIT_TOOLS", "demo.read"),
        ("GATELODGE_RATE_LIMIT_TOOLS", "demo.read=often"),
        ("GATELODGE_RATE_LIMIT_COSTS", "demo.read=-1"),
        ("GATELODGE_RATE_LIMIT_SHADOW", "users"),
        ("RATE_LIMIT_DEFAULT", "0"),
        ("RATE_LIMIT_WINDOW", "0"),
        ("RATE_LIMIT_DEFUALT", "5"),
    ],
)
async def test_a_setting_that_does_not_fit_stops_the_start(name: str, value: str) -> None:
    """With its name in one line."""
    with pytest.raises(StartupError, match=name):
        async with policed(RateLimitsPlugin(), {name: value}):
            pass


async def test_redis_holds_no_name(valkey: str) -> None:
    """Tenant, user, address and instance are hashed, one hash tag a tenant; every key goes by itself."""
    client = connect(valkey)
    who = Principal(tenant=UUID(int=9), user="canary-user", method="local", address="192.0.2.99")
    variables = {"GATELODGE_RATE_LIMIT_ADDRESS": "9/day", "GATELODGE_RATE_LIMIT_TENANT": "9/day"}
    async with policed(RateLimitsPlugin(), variables, client) as post:
        await post.call(a_tool(), who, instance_id="canary-instance")
        await post.call(a_tool(), ALICE)
        keys = [key.decode() async for key in client.scan_iter()]
        lives = [await client.pttl(key) for key in keys]
    await client.aclose()
    tags = {key[key.index("{") : key.index("}")] for key in keys}
    assert (len(keys), len(tags)) == (12, 2)
    assert not re.search(f"canary|192.0|{who.tenant}|alice", " ".join(keys))
    assert min(lives) > 0


async def test_replicas_share_one_limit(valkey: str) -> None:
    """Calls at two servers at once get together what one would have given."""
    one, two = connect(valkey), connect(valkey)
    variables = {"GATELODGE_RATE_LIMIT_USER": "30/day"}
    async with (
        policed(RateLimitsPlugin(), variables, one) as here,
        policed(RateLimitsPlugin(), variables, two) as there,
    ):
        calls = [post.call(a_tool()) for post in (here, there) for _ in range(40)]
        results = await asyncio.gather(*calls)
    assert sum(result.outcome == "ok" for result in results) == 30
    await one.aclose()
    await two.aclose()


async def test_a_destructive_tool_is_counted_like_any_other_while_redis_is_there(valkey: str) -> None:
    """It is refused for being too much, and for nothing else."""
    client = connect(valkey)
    async with policed(RateLimitsPlugin(), {"GATELODGE_RATE_LIMIT_USER": "1/day"}, client) as post:
        tool = a_tool("demo.destroy", annotations=OVERWRITE)
        assert await outcomes(post, 2, tool) == ["ok", "rate_limited"]
    await client.aclose()
