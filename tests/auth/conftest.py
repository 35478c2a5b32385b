"""A token issuer that is a real HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ..guests import Issuer, new_keys


@pytest.fixture(scope="session")
def signing_keys() -> dict[str, Any]:
    return new_keys()


@pytest.fixture
async def issuer(signing_keys: dict[str, Any]) -> AsyncIterator[Issuer]:
    issuer = Issuer(dict(signing_keys))
    app = web.Application()
    app.router.add_get("/keys", issuer.publish)
    app.router.add_get("/.well-known/openid-configuration", issuer.describe)
    server = TestServer(app)
    await server.start_server()
    issuer.url = str(server.make_url("")).rstrip("/")
    yield issuer
    await server.close()
