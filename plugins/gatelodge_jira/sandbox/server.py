"""The sandbox Jira: a real HTTP server with Jira's API over the demo story, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

from aiohttp import web

from .door import Check, Door
from .faults import Fault, Faults
from .record import Record, Recorded
from .routes import CLOUD, DATA_CENTER, EVERYWHERE
from .site import Site, utc_now
from .story import Story
from .world import DEMO_USER

Flavour = Literal["cloud", "datacenter"]
PREFIXES: Mapping[Flavour, tuple[str, ...]] = {
    "cloud": ("/rest/api/{api:3|2}", "/ex/jira/{cloud}/rest/api/{api:3|2}"),
    "datacenter": ("/rest/api/{api:2}", "/rest/api/{api:latest}"),
}


class Sandbox:
    """A running sandbox: where it is, what it holds, what it was asked, and what shall go wrong in it."""

    def __init__(self, site: Site, faults: Faults, record: Record) -> None:
        self.url = ""
        self.site = site
        self.requests = record.requests
        self._record = record
        self._faults = faults

    def fail_next(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        match: str = "",
        *,
        message: str = "",
        after: bool = False,
    ) -> None:
        """Answer the next `times` requests whose `METHOD /path` has the pattern `match` in it with an error.

        The request has no effect, unless `after` is set.
        """
        self._faults.order(
            Fault(match=match, times=times, status=status, headers=headers or {}, message=message, after=after)
        )

    def drop_next(self, times: int = 1, match: str = "", *, after: bool = False) -> None:
        """Break the connection instead of an answer, before the effect or `after` it."""
        self._faults.order(Fault(match=match, times=times, after=after))

    def delay(self, seconds: float, times: int = 1, match: str = "") -> None:
        """Let the next requests wait before anything happens."""
        self._faults.order(Fault(match=match, times=times, delay=seconds))

    async def arrival(self, match: str = "") -> Recorded:
        """Wait until a request has come whose `METHOD /path` has the pattern `match` in it: the first of them."""
        return await self._record.arrival(match)

    def clear_faults(self) -> None:
        self._faults.clear()

    def lag(self, lagging: bool = True) -> None:
        """Keep issues that are created from now on out of `search/jql`, unless it is told to reconcile them."""
        self.site.unindexed = set() if lagging else None


@asynccontextmanager
async def sandbox(
    story: Story,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    flavour: Flavour = "cloud",
    credentials: Mapping[str, str] | None = None,
    check: Check | None = None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Sandbox]:
    """A Jira that tells `story` until this ends; nothing is kept.

    `credentials` leads from a token to a person's `name`: with them each request must carry Basic `email:token` (a Data
    Center takes `name:token`) or the token as Bearer; without them everyone is the demo user. `check` sees each
    exchange.
    Raises `OSError` when the port is taken.
    """
    site, faults, record = Site(story, now), Faults(), Record()
    people = None if credentials is None else dict(credentials)
    door = Door(site, flavour == "cloud", people, DEMO_USER.name, faults, record, check)
    runner = web.AppRunner(_application(door, flavour), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        running = Sandbox(site, faults, record)
        running.url = f"http://{host}:{runner.addresses[0][1]}"
        yield running
    finally:
        await runner.cleanup()


def _application(door: Door, flavour: Flavour) -> web.Application:
    application = web.Application(client_max_size=4 * 2**20)
    routes = (*(CLOUD if flavour == "cloud" else DATA_CENTER), *EVERYWHERE)
    for prefix in PREFIXES[flavour]:
        for method, path, operation in routes:
            application.router.add_route(method, f"{prefix}/{path}", door.handler(operation))
    application.router.add_route("*", "/{rest:.*}", door.handler(door.nothing))
    return application
