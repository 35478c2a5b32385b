"""Requests that a proxy and this server might read differently: each is refused, and nothing is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from gatelodge.application import open_server
from gatelodge.listening import listening
from gatelodge.testing import DEFAULTS, Cluster, Gatelodge

from ..guests import TENANT, NotesPlugin

pytestmark = pytest.mark.asyncio(loop_scope="session")
BODY = b'{"name":"notes.write","arguments":{}}'
TWICE = [
    "Host",
    "Origin",
    "Authorization",
    "X-API-Key",
    "X-Tenant-ID",
    "X-User-ID",
    "Idempotency-Key",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
]


async def raw(gate: Gatelodge, *lines: bytes, body: bytes = BODY, path: bytes = b"/tools/invoke") -> list[int]:
    """Send those header lines as they stand, and the body; the status of each reply until the server closes."""
    address = urlsplit(gate.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Connection: close", *lines, b"", body]))
    await writer.drain()
    async with asyncio.timeout(60):
        received = await reader.read()
    writer.close()
    return [int(line.split()[1]) for line in received.splitlines() if line.startswith(b"HTTP/1.")]


def length(body: bytes = BODY) -> bytes:
    return b"Content-Length: %d" % len(body)


@asynccontextmanager
async def served(database: str, **settings: str) -> AsyncIterator[Gatelodge]:
    variables = {**DEFAULTS, "DATABASE_URL": database, **settings}
    async with (
        open_server(variables, extra_plugins=[("notes", NotesPlugin)]) as server,
        listening(server) as urls,
        aiohttp.ClientSession() as session,
    ):
        yield Gatelodge(server, urls, session)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gates(cluster: Cluster) -> AsyncIterator[tuple[Gatelodge, Gatelodge]]:
    """For all tests of this file: one server with a local user, and one without."""
    async with (
        cluster.fresh() as one,
        cluster.fresh() as other,
        served(one) as gate,
        served(other, GATELODGE_LOCAL_USER="false") as strict,
    ):
        yield gate, strict


@pytest.fixture
def gate(gates: tuple[Gatelodge, Gatelodge]) -> Gatelodge:
    return gates[0]


async def test_a_plain_request_passes(gate: Gatelodge) -> None:
    """So that what is refused below is refused for what it says it is."""
    assert await raw(gate, b"Host: localhost", length()) == [200]


@pytest.mark.parametrize("name", TWICE)
async def test_a_header_that_decides_something_comes_once(gate: Gatelodge, name: str) -> None:
    """Of two, a proxy may have checked the one and this server would go by the other."""
    value = {"Host": "localhost", "Origin": "http://localhost"}.get(name, "one")
    line = f"{name}: {value}".encode()
    host = [] if name == "Host" else [b"Host: localhost"]
    assert await raw(gate, *host, length(), line, line) == [400]


@pytest.mark.parametrize(
    "lines",
    [
        [length(), b"Transfer-Encoding: chunked"],
        [length(), b"Content-Length: 5"],
        [b"Content-Length: +37"],
        [b"Content-Length: 37, 37"],
        [b"Content-Length : 37"],
        [length(), b"X-User-ID : ann"],
        [length(), b"X-User-ID: ann", b" folded"],
        [length(), b"X-User-ID: a\x00nn"],
        [length(), b"X-User-ID: a\nX-Tenant-ID: b"],
        [b"Transfer-Encoding: xchunked", length()],
    ],
    ids=lambda lines: lines[-1].decode("latin-1"),
)
async def test_framing_is_strict(gate: Gatelodge, lines: list[bytes]) -> None:
    """Two lengths, two framings, spaces before a colon, folded lines and control characters are refused."""
    assert await raw(gate, b"Host: localhost", *lines) == [400]


@pytest.mark.parametrize(
    "path",
    [
        b"/health/../tools/invoke",
        b"/health%2f..%2ftools%2finvoke",
        b"/.well-known/oauth-protected-resource/../../tools/invoke",
        b"/.well-known/oauth-protected-resource/anything",
        b"//tools/invoke",
        b"/tools/invoke/",
        b"/TOOLS/invoke",
        b"/health/ready/../../tools/invoke",
    ],
)
async def test_no_path_leads_around_the_check(gates: tuple[Gatelodge, Gatelodge], path: bytes) -> None:
    """What looks like a public path is nothing, or needs credentials like anything else."""
    assert await raw(gates[1], b"Host: localhost", length(), path=path) in ([401], [404])


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8054", "127.0.0.1.evil.example", "localhost@evil.example"],
)
async def test_a_name_that_was_rebound_is_refused(gate: Gatelodge, host: str) -> None:
    """A page whose name was made to point here (DNS rebinding) sends its own Host, or its own Origin."""
    for headers in ({"Host": host}, {"Origin": f"http://{host}"}):
        async with gate.session.post(f"{gate.url}/tools/invoke", data=BODY, headers=headers) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["null", "file://", "http://", "localhost", "http://localhost.", "data:localhost"])
async def test_an_origin_of_no_host_is_refused(gate: Gatelodge, origin: str) -> None:
    """A sandboxed frame, a file or nonsense is nobody's page."""
    async with gate.session.post(f"{gate.url}/tools/invoke", data=BODY, headers={"Origin": origin}) as reply:
        assert reply.status == 403


async def test_the_last_proxy_says_by_what_a_request_came(database: str) -> None:
    """A client that claims https itself is not believed where the trusted proxy adds its own word behind it."""
    async with served(database, GATELODGE_TRUSTED_PROXIES="127.0.0.0/8", MCP_SSL_REQUIRED="true") as gate:
        identity = {"X-Tenant-ID": str(TENANT), "X-User-ID": "ann"}
        schemes = {
            "https": 200,
            "HTTPS": 200,
            "http, https": 200,
            "http": 403,
            "https, http": 403,
            "https, ": 403,
            "x": 403,
        }
        for scheme, status in schemes.items():
            headers = {**identity, "X-Forwarded-Proto": scheme}
            async with gate.session.post(f"{gate.url}/tools/invoke", data=BODY, headers=headers) as reply:
                assert (scheme, reply.status) == (scheme, status), await reply.text()
        two = [*identity.items(), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")]
        async with gate.session.post(f"{gate.url}/tools/invoke", data=BODY, headers=two) as reply:
            assert reply.status == 403
            assert "https" in json.loads(await reply.text())["error"]["message"]
