"""`/`, `/health` (the event loop answers), `/health/ready` (what calls depend on) and `/health/mcp`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from ..contract import HealthCheck
from ..errors import ToolError
from ..plugins import Broken
from ..switches import Switches
from ..switches.core import ENABLED
from .gate import NEARBY, json_response

CHECK_TIMEOUT = 5.0
KEPT = 0.25
"""Seconds for which an answer of the checks does."""


class Health:
    """What the health paths say. They stay up when everything else is switched off."""

    def __init__(
        self,
        listener: str,
        version: str,
        checks: Sequence[tuple[str, HealthCheck]],
        broken: Sequence[Broken],
        switches: Switches,
    ) -> None:
        self._listener = listener
        self._version = version
        self._checks = checks
        self._broken = broken
        self._switches = switches
        self.draining = False
        self._asking = asyncio.Lock()
        self._last: list[dict[str, Any]] = []
        self._good_until = 0.0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self.root)
        app.router.add_get("/health", self.live)
        app.router.add_get("/health/ready", self.ready)
        app.router.add_get("/health/mcp", self.mcp)

    async def root(self, request: web.Request) -> web.Response:
        doors = {"mcp": "/mcp", "sse": "/sse", "tools": "/tools", "health": "/health"}
        return json_response(
            {"name": "gatelodge", "version": self._version, "listener": self._listener, "doors": doors}
        )

    async def live(self, request: web.Request) -> web.Response:
        return json_response(self._stamped("ok"))

    async def mcp(self, request: web.Request) -> web.Response:
        enabled = self._switches.get(ENABLED)
        return json_response(self._stamped("ok" if enabled else "disabled") | {"mcp_enabled": enabled})

    async def ready(self, request: web.Request) -> web.Response:
        """200 while every critical check passes and the server is not draining, 503 otherwise; each check with its state.

        Details are for this machine: they name users, tools and errors, and anyone may ask.
        """
        states = await self._states()
        nearby = request[NEARBY]
        broken = [{"name": b.name, "distribution": b.distribution, "reason": b.reason} for b in self._broken]
        if not nearby:
            states = [{**state, "detail": None} for state in states]
            broken = [{"name": item["name"]} for item in broken]
        failed = self.draining or any(state["status"] == "failed" and state["critical"] for state in states)
        status = "draining" if self.draining else "unready" if failed else "ready"
        body = self._stamped(status) | {"checks": states, "broken_plugins": broken}
        return json_response(body, status=503 if failed else 200)

    async def _states(self) -> list[dict[str, Any]]:
        """Those who ask at once, or right after each other, share an answer: checks ask Postgres, and Jira itself."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now >= self._good_until:
                self._last = await check_states(self._checks)
                self._good_until = now + KEPT
            return self._last

    def _stamped(self, status: str) -> dict[str, Any]:
        return {"status": status, "timestamp": datetime.now(UTC).isoformat(), "version": self._version}


async def check_states(checks: Sequence[tuple[str, HealthCheck]]) -> list[dict[str, Any]]:
    """Every check run at once: `{name, plugin, critical, status: ok|failed, detail}` each."""
    return await asyncio.gather(*(_state(owner, check) for owner, check in checks))


async def _state(owner: str, check: HealthCheck) -> dict[str, Any]:
    state: dict[str, Any] = {"name": check.name, "plugin": owner, "critical": check.critical}
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return state | {"status": "ok", "detail": await check.check()}
    except TimeoutError:
        return state | {"status": "failed", "detail": f"no answer within {CHECK_TIMEOUT:g} s"}
    except ToolError as error:  # one of ours, which holds no secret
        return state | {"status": "failed", "detail": error.message}
    except Exception as error:  # a check reports by raising, and may raise what its library raises
        return state | {"status": "failed", "detail": type(error).__name__}
