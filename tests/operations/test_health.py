"""What health says, to whom, and what asking costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gatelodge import HealthCheck, hookimpl
from gatelodge.testing import Gatelodge, OpenGatelodge


class CheckedPlugin:
    """A check that asks somebody, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0

    async def check(self) -> str:
        self.asked += 1
        await asyncio.sleep(0.05)
        return "signed in as canary@example.com"

    @hookimpl
    def gatelodge_health(self) -> Sequence[HealthCheck]:
        return (HealthCheck("upstream", self.check, critical=False),)


async def ready(gate: Gatelodge, **headers: str) -> Any:
    async with gate.session.get(f"{gate.url}/health/ready", headers=headers) as reply:
        assert reply.status == 200
        return await reply.json()


async def test_who_asks_from_elsewhere_gets_no_details(open_gatelodge: OpenGatelodge) -> None:
    """A probe needs to know whether, not why: details name users, tools and errors."""
    gate = await open_gatelodge(("checked", CheckedPlugin()), GATELODGE_TRUSTED_PROXIES="127.0.0.0/8")
    near, far = await ready(gate), await ready(gate, **{"X-Forwarded-For": "192.0.2.7"})
    assert "canary" in str(near)
    assert [check["name"] for check in far["checks"]] == [check["name"] for check in near["checks"]]
    assert {check["status"] for check in far["checks"]} == {"ok"}
    assert {check["detail"] for check in far["checks"]} == {None}
    assert "canary" not in str(far)


async def test_asking_often_asks_others_seldom(open_gatelodge: OpenGatelodge) -> None:
    """Nobody has to sign in to ask for health, so a flood of it must not become one of checks: those reach Jira itself."""
    checked = CheckedPlugin()
    gate = await open_gatelodge(("checked", checked))
    await asyncio.gather(*(ready(gate) for _ in range(50)))
    assert 1 <= checked.asked <= 10
    before = checked.asked
    await asyncio.sleep(0.5)
    await ready(gate)
    assert checked.asked == before + 1
