"""A server that stops tells whoever listens."""

from __future__ import annotations

import asyncio

import aiohttp
from gatelodge_everything.plugin import EverythingPlugin

from gatelodge.application import open_server
from gatelodge.listening import listening
from gatelodge.testing import DEFAULTS

from .schema import STATELESS, check_response
from .speaker import Event, Speaker, events


async def test_streams_end_by_themselves(database: str) -> None:
    """A subscription ends with its result, a session's stream without a word; neither holds the server up."""
    variables = {**DEFAULTS, "DATABASE_URL": database}
    async with (
        aiohttp.ClientSession() as http,
        open_server(variables, extra_plugins=[("everything", EverythingPlugin)]) as server,
    ):
        async with listening(server) as urls:
            stateless = await Speaker(http, urls["hub"], STATELESS).open()
            session = await Speaker(http, urls["hub"], "2025-11-25").open()
            request = stateless.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            listen = await stateless.post(request).__aenter__()
            acknowledged = events(listen)
            await anext(acknowledged)
            stream = await session.get().__aenter__()
            legacy = await http.get(f"{urls['hub']}/sse")
            ends = asyncio.gather(_rest(acknowledged), _rest(events(stream)), legacy.read())
        last, of_session, _ = await ends
    (end,) = last
    assert end.message is not None
    check_response(STATELESS, "subscriptions/listen", end.message)
    assert end.message["id"] == request["id"]
    assert [event.message for event in of_session] == [None]


async def _rest(stream: object) -> list[Event]:
    return [event async for event in stream]  # type: ignore[attr-defined]
