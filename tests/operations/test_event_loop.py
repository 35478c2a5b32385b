"""Which event loop serves."""

from __future__ import annotations

import importlib.util
import json

import aiohttp
import pytest

from .processes import command, serving

INSTALLED = importlib.util.find_spec("uvloop") is not None


@pytest.mark.skipif(not INSTALLED, reason="uvloop is an extra; tox -e uvloop has it")
async def test_uvloop_serves_where_it_is_wanted(database: str) -> None:
    """A call through it, and a stop in order."""
    async with serving(DATABASE_URL=database, GATELODGE_EVENT_LOOP="uvloop") as served:
        body = {"name": "sql.get_project_metrics", "arguments": {"project_key": "GATE"}}
        async with aiohttp.ClientSession() as session, session.post(f"{served.url}/tools/invoke", json=body) as reply:
            assert json.loads(await reply.read())["result"]["row_count"] == 0
        assert await served.stop() == 0


@pytest.mark.skipif(INSTALLED, reason="uvloop is installed here")
async def test_uvloop_that_is_not_installed_stops_the_start(database: str) -> None:
    """With the command that installs it."""
    status, _, said = await command("serve", DATABASE_URL=database, GATELODGE_EVENT_LOOP="uvloop")
    assert status == 2
    assert "pip install 'gatelodge[uvloop]'" in said
