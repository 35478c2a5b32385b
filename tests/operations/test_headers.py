"""What replies carry besides their body, and what is refused without TLS."""

from __future__ import annotations

import pytest

from gatelodge.errors import StartupError
from gatelodge.testing import OpenGatelodge

BEHIND_PROXY = {"MCP_SSL_REQUIRED": "true", "GATELODGE_TRUSTED_PROXIES": "127.0.0.1/32"}
BY_TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
PAGE = "https://app.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, mcp-session-id",
}


async def test_every_reply_carries_the_security_headers(open_gatelodge: OpenGatelodge) -> None:
    """Errors and health too; HSTS only where the reply goes out by TLS."""
    gate = await open_gatelodge()
    for path in ("/health", "/tools", "/nowhere"):
        async with gate.session.get(gate.url + path) as reply:
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["X-Frame-Options"] == "DENY"
            assert reply.headers["Server"] == "gatelodge"
            assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert "Strict-Transport-Security" not in reply.headers


async def test_every_reply_carries_its_request_id(open_gatelodge: OpenGatelodge) -> None:
    """The one that its body names, and another for each request, whether answered, refused or asked by a browser."""
    gate = await open_gatelodge()
    seen = set()
    for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("PUT", "/mcp"), ("POST", "/mcp"), ("GET", "/sse")):
        async with gate.session.request(method, gate.url + path) as reply:
            seen.add(reply.headers["X-Request-Id"])
    async with gate.session.options(f"{gate.url}/mcp", headers=PREFLIGHT) as reply:
        seen.add(reply.headers["X-Request-Id"])
    async with gate.session.get(f"{gate.url}/nowhere") as reply:
        seen.add(reply.headers["X-Request-Id"])
        assert (await reply.json())["error"]["request_id"] == reply.headers["X-Request-Id"]
    assert len(seen) == 7


async def test_security_headers_can_be_left_to_a_proxy(open_gatelodge: OpenGatelodge) -> None:
    """The setting takes them away."""
    gate = await open_gatelodge(GATELODGE_SECURITY_HEADERS="false")
    async with gate.session.get(f"{gate.url}/health") as reply:
        assert "X-Frame-Options" not in reply.headers


async def test_without_tls_only_health_answers(open_gatelodge: OpenGatelodge) -> None:
    """A read is sent on to https, a write is refused before anything is done with it, and health is for everyone."""
    gate = await open_gatelodge(**BEHIND_PROXY)
    async with gate.session.get(f"{gate.url}/tools?a=b", allow_redirects=False) as reply:
        assert reply.status == 308
        assert reply.headers["Location"] == gate.url.replace("http://", "https://") + "/tools?a=b"
    async with gate.session.post(f"{gate.url}/tools/invoke", json={"name": "jira.search"}) as reply:
        assert reply.status == 403
        assert (await reply.json())["error"]["code"] == "forbidden"
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        assert reply.status == 200


async def test_a_trusted_proxy_says_that_it_was_tls(open_gatelodge: OpenGatelodge) -> None:
    """Then the call is answered, and browsers are told to stay with https."""
    gate = await open_gatelodge(**BEHIND_PROXY, MCP_API_KEY="k" * 32)
    headers = {**BY_TLS, "X-API-Key": "k" * 32}
    async with gate.session.get(f"{gate.url}/tools", headers=headers) as reply:
        assert reply.status == 200
        assert "max-age" in reply.headers["Strict-Transport-Security"]


async def test_nobody_else_can_say_that_it_was_tls(open_gatelodge: OpenGatelodge) -> None:
    """The header of a peer that is no proxy of ours counts for nothing."""
    gate = await open_gatelodge(MCP_SSL_REQUIRED="true", GATELODGE_TRUSTED_PROXIES="192.0.2.0/24")
    async with gate.session.post(f"{gate.url}/tools/invoke", json={}, headers=BY_TLS) as reply:
        assert reply.status == 403


async def test_tls_that_nothing_can_speak_stops_the_start(open_gatelodge: OpenGatelodge) -> None:
    """Required, with no certificate and no proxy, it would refuse everybody."""
    with pytest.raises(StartupError, match="MCP_SSL_REQUIRED"):
        await open_gatelodge(MCP_SSL_REQUIRED="true")


async def test_pages_of_allowed_origins_may_call(open_gatelodge: OpenGatelodge) -> None:
    """Their preflight needs no credentials, and they may read the reply's own headers."""
    gate = await open_gatelodge(GATELODGE_ALLOWED_ORIGINS=PAGE, GATELODGE_LOCAL_USER="false", MCP_API_KEY="k" * 32)
    async with gate.session.options(f"{gate.url}/mcp", headers=PREFLIGHT) as reply:
        assert reply.status == 204
        assert reply.headers["Access-Control-Allow-Origin"] == PAGE
        assert reply.headers["Access-Control-Allow-Headers"] == "authorization, mcp-session-id"
        assert "DELETE" in reply.headers["Access-Control-Allow-Methods"]
    async with gate.session.get(f"{gate.url}/tools", headers={"Origin": PAGE}) as reply:
        assert reply.status == 401
        assert reply.headers["Access-Control-Allow-Origin"] == PAGE
        assert "WWW-Authenticate" in reply.headers["Access-Control-Expose-Headers"]
        assert "Origin" in reply.headers["Vary"]


async def test_pages_of_other_origins_may_not(open_gatelodge: OpenGatelodge) -> None:
    """Neither the preflight nor a reply allows them anything."""
    gate = await open_gatelodge(GATELODGE_ALLOWED_ORIGINS=PAGE)
    for origin in ("https://evil.example", "null"):
        async with gate.session.options(f"{gate.url}/mcp", headers={**PREFLIGHT, "Origin": origin}) as reply:
            assert reply.status == 403
            assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("coding", ["gzip", "deflate;q=0.5, gzip"])
async def test_a_large_body_is_compressed_for_who_takes_it(open_gatelodge: OpenGatelodge, coding: str) -> None:
    """The list of tools shrinks, and reads the same."""
    gate = await open_gatelodge()
    async with gate.session.get(f"{gate.url}/tools", headers={"Accept-Encoding": "identity"}) as reply:
        assert "Content-Encoding" not in reply.headers
        plain = await reply.json()
    async with gate.session.get(f"{gate.url}/tools", headers={"Accept-Encoding": coding}) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in reply.headers["Vary"]
        assert await reply.json() == plain
    async with gate.session.get(f"{gate.url}/health", headers={"Accept-Encoding": coding}) as reply:
        assert "Content-Encoding" not in reply.headers


async def test_compression_can_be_left_to_a_proxy(open_gatelodge: OpenGatelodge) -> None:
    """0 turns it off."""
    gate = await open_gatelodge(GATELODGE_COMPRESS_FROM="0")
    async with gate.session.get(f"{gate.url}/tools", headers={"Accept-Encoding": "gzip"}) as reply:
        assert "Content-Encoding" not in reply.headers
