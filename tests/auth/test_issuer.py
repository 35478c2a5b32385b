"""The issuer of tokens: its keys, its settings, and where clients are told to sign in."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from joserfc.jwk import OctKey, RSAKey

from gatelodge import StartupError
from gatelodge.application import open_server
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import Issuer, NotesPlugin, refusal, shown

NO_LOCAL = {"GATELODGE_LOCAL_USER": "false"}
NOTES = ("notes", NotesPlugin)


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge, issuer: Issuer) -> Gatelodge:
    return await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)


async def test_unknown_keys_do_not_make_the_server_fetch_each_time(
    open_gatelodge: OpenGatelodge, issuer: Issuer
) -> None:
    """Within the cooldown any number of made-up kids causes no fetch."""
    settings = issuer.settings | {"GATELODGE_JWT_JWKS_COOLDOWN": "600"}
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    fetched = issuer.fetches
    tokens = [issuer.token(kid=f"made-up-{number}") for number in range(20)]
    reasons = await asyncio.gather(*(refusal(gate, token) for token in tokens))
    assert all("does not publish" in reason for reason in reasons)
    assert issuer.fetches == fetched


@pytest.mark.parametrize("body", [None, b"[]", b'{"keys": 5}', b"x" * (2 * 1024 * 1024)])
async def test_without_any_key_tokens_wait(open_gatelodge: OpenGatelodge, issuer: Issuer, body: bytes | None) -> None:
    """A server whose issuer never gave keys starts all the same, and says 503 rather than that a token is bad."""
    issuer.up, issuer.body = body is not None, body
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)
    status, answer = await shown(gate, issuer.token())
    assert (status, answer["error"]["code"]) == (503, "network_error")
    assert answer["error"]["retry_after"] > 0


async def test_unusable_keys_are_left_out(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """Keys that are symmetric, weak, of another use or not understood do not spoil the others."""
    with pytest.warns(UserWarning, match="2048"):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    issuer.extra = [
        OctKey.generate_key(256, {"kid": "oct"}).as_dict(private=True),
        weak.as_dict(private=False),
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AA"},
        issuer.keys["ES256"].as_dict(private=False) | {"kid": "sealing", "use": "enc"},
    ]
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)
    assert (await shown(gate, issuer.token()))[0] == 200
    assert "does not publish" in await refusal(gate, issuer.token(key=weak))
    assert "does not publish" in await refusal(gate, issuer.token("ES256", kid="sealing"))


async def test_the_keys_are_found_in_the_issuers_metadata(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """Without an address of the keys the issuer's own metadata gives it."""
    settings = {name: value for name, value in issuer.settings.items() if name != "GATELODGE_JWT_JWKS_URL"}
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    assert (await shown(gate, issuer.token()))[0] == 200


async def test_claims_are_mapped_by_settings(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """Other claims, paths of claims, lists of scopes and a fixed tenant are a matter of settings."""
    settings = issuer.settings | {
        "GATELODGE_JWT_TENANT": str(UUID(int=9)),
        "GATELODGE_JWT_USER_CLAIM": "https://example.com/email",
        "GATELODGE_JWT_SCOPE_CLAIMS": "realm_access.roles,scp",
    }
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    claims = {"https://example.com/email": "ann@example.com", "realm_access": {"roles": ["notes:write", 5]}}
    status, body = await shown(gate, issuer.token(tenant_id=None, scope=None, **claims), "notes.write")
    assert status == 200
    assert body["result"] == {"tenant": str(UUID(int=9)), "user": "ann@example.com", "method": "jwt"}


async def test_an_issuer_needs_an_audience(issuer: Issuer) -> None:
    """A server that would take tokens meant for others does not start."""
    variables = {"GATELODGE_JWT_ISSUER": issuer.url, "DATABASE_URL": "postgresql://nowhere"}
    with pytest.raises(StartupError, match="GATELODGE_JWT_AUDIENCE"):
        async with open_server(variables):
            pass


async def test_the_metadata_goes_by_the_public_address(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """Behind a proxy that hides it, the address is the one that clients use."""
    settings = issuer.settings | {"GATELODGE_PUBLIC_URL": "https://gate.example/lodge/"}
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    async with gate.session.get(f"{gate.url}/.well-known/oauth-protected-resource/mcp") as reply:
        assert (await reply.json())["resource"] == "https://gate.example/lodge/mcp"
    async with gate.session.post(f"{gate.url}/mcp") as reply:
        challenge = reply.headers["WWW-Authenticate"]
    assert 'resource_metadata="https://gate.example/.well-known/oauth-protected-resource/lodge/mcp"' in challenge


async def test_the_metadata_names_the_issuer(gate: Gatelodge, issuer: Issuer) -> None:
    """The documents of RFC 9728 are public, at the root and with the endpoint's path inserted."""
    for path in ("", "/mcp", "/sse"):
        async with gate.session.get(f"{gate.url}/.well-known/oauth-protected-resource{path}") as reply:
            assert reply.status == 200
            document = await reply.json()
        assert document["resource"] == f"{gate.url}{path}"
        assert document["authorization_servers"] == [issuer.url]
        assert {"notes:read", "notes:write"} <= set(document["scopes_supported"])
        assert document["bearer_methods_supported"] == ["header"]


async def test_a_refusal_says_where_to_sign_in(gate: Gatelodge, issuer: Issuer) -> None:
    """Without a token the challenge has no error; with a bad one it has, and both name the metadata and a scope."""
    well_known = f'resource_metadata="{gate.url}/.well-known/oauth-protected-resource/mcp"'
    async with gate.session.post(f"{gate.url}/mcp") as reply:
        bare, body = reply.headers["WWW-Authenticate"], await reply.json()
        assert reply.status == 401
    assert well_known in bare
    assert "error=" not in bare
    assert "notes:read" in bare
    assert "notes:write" not in bare
    assert (body["jsonrpc"], body["error"]["data"]["code"]) == ("2.0", "unauthorized")
    headers = {"Authorization": f"Bearer {issuer.token(exp=1)}"}
    async with gate.session.post(f"{gate.url}/mcp", headers=headers) as reply:
        expired = reply.headers["WWW-Authenticate"]
        assert reply.status == 401
    assert 'error="invalid_token", error_description="The token has expired."' in expired
    assert well_known in expired


async def test_a_missing_scope_is_asked_for_beside_the_ones_held(gate: Gatelodge, issuer: Issuer) -> None:
    """The 403's challenge names every scope the next token should have: clients replace the old one."""
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    body = {"name": "notes.write", "arguments": {}}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        assert reply.status == 403
        challenge = reply.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="notes:read notes:write"' in challenge
    assert "resource_metadata=" in challenge
