"""JWT bearer tokens, over HTTP, with an issuer that is a real server."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gatelodge import StartupError
from gatelodge.application import open_server
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, Issuer, NotesPlugin

NO_LOCAL = {"GATELODGE_LOCAL_USER": "false"}
NOTES = ("notes", NotesPlugin)
HOUR = 3600

WRONG_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://other.example"}, "for another audience"),
    ({"aud": ["https://other.example"]}, "for another audience"),
    ({"aud": None}, "lacks aud"),
    ({"aud": 5}, "for another audience"),
    ({"iss": "https://other.example"}, "of another issuer"),
    ({"iss": None}, "lacks iss"),
    ({"exp": int(time.time()) - HOUR}, "has expired"),
    ({"exp": None}, "lacks exp"),
    ({"exp": "tomorrow"}, "exp is not valid"),
    ({"nbf": int(time.time()) + HOUR}, "not valid yet"),
    ({"iat": int(time.time()) + HOUR}, "issued in the future"),
    ({"sub": None}, "sub does not name a user"),
    ({"sub": "a\u0000b"}, "sub does not name a user"),
    ({"tenant_id": None}, "tenant_id is not the UUID"),
    ({"tenant_id": "acme"}, "tenant_id is not the UUID"),
    ({"tenant_id": 7}, "tenant_id is not the UUID"),
]


async def shown(gate: Gatelodge, token: str, tool: str = "notes.read") -> tuple[int, dict[str, Any]]:
    """Status and body of a call with that token."""
    body = {"name": tool, "arguments": {}}
    headers = {"Authorization": f"Bearer {token}"}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        return reply.status, await reply.json()


async def message(gate: Gatelodge, token: str) -> str:
    """Why a token is refused."""
    status, body = await shown(gate, token)
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    return str(body["error"]["message"])


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge, issuer: Issuer) -> Gatelodge:
    return await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)


async def test_a_good_token_names_its_bearer(gate: Gatelodge, issuer: Issuer) -> None:
    """A token of each algorithm is taken, and its claims become tenant, user and scopes."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        status, body = await shown(gate, issuer.token(algorithm))
        assert status == 200
        assert body["result"] == {"tenant": str(TENANT), "user": "ann", "method": "jwt"}
        status, body = await shown(gate, issuer.token(algorithm), "notes.write")
        assert (status, body["error"]["details"]) == (403, {"missing_scopes": ["notes:write"]})


async def test_a_wrong_claim_is_named(gate: Gatelodge, issuer: Issuer) -> None:
    """Each claim that does not hold refuses the token, and the refusal says which."""
    for changes, reason in WRONG_CLAIMS:
        assert reason in await message(gate, issuer.token(**changes))


async def test_a_far_future_is_no_fault(gate: Gatelodge, issuer: Issuer) -> None:
    """An expiry that no clock can hold is as good as any later time."""
    assert (await shown(gate, issuer.token(exp=10**400)))[0] == 200


async def test_clocks_may_differ_a_little(gate: Gatelodge, issuer: Issuer) -> None:
    """A token that expired within the leeway is still taken."""
    assert (await shown(gate, issuer.token(exp=int(time.time()) - 1)))[0] == 200


async def test_an_unsigned_token_is_refused(gate: Gatelodge, issuer: Issuer) -> None:
    """`alg: none` is no algorithm, however it is written."""
    claims = encoded(issuer.claims())
    for algorithm in ("none", "None", "NONE", "", None, 5, ["RS256"]):
        header = encoded({"alg": algorithm, "kid": "RS256"})
        for signature in ("", "AA"):
            assert "algorithm" in await message(gate, f"{header}.{claims}.{signature}")


async def test_a_public_key_is_no_shared_secret(gate: Gatelodge, issuer: Issuer) -> None:
    """A token signed by HMAC with the public key as its secret (algorithm confusion) is refused."""
    unsigned = f"{encoded({'alg': 'HS256', 'kid': 'RS256'})}.{encoded(issuer.claims())}"
    signature = hmac.digest(issuer.keys["RS256"].as_pem(private=False), unsigned.encode(), "sha256")
    forged = f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert "algorithm is not one of" in await message(gate, forged)


async def test_a_key_checks_only_its_own_algorithm(gate: Gatelodge, issuer: Issuer) -> None:
    """A token that names the key of another algorithm is refused without trying it."""
    assert "does not publish" in await message(gate, issuer.token("RS256", kid="ES256"))
    assert "algorithm is not one of" in await message(gate, issuer.token("RS512", key=issuer.keys["RS256"]))


async def test_another_key_under_a_known_name_is_refused(gate: Gatelodge, issuer: Issuer) -> None:
    """The signature counts, not the name of the key."""
    stranger = ECKey.generate_key("P-256")
    assert "signature is not valid" in await message(gate, issuer.token("ES256", key=stranger, kid="ES256"))


async def test_a_changed_token_is_refused(gate: Gatelodge, issuer: Issuer) -> None:
    """Other claims under the same signature are refused, also after the good token was seen."""
    good = issuer.token()
    assert (await shown(gate, good))[0] == 200
    header, _, signature = good.split(".")
    forged = f"{header}.{encoded(issuer.claims(sub='root'))}.{signature}"
    assert "signature is not valid" in await message(gate, forged)


async def test_what_is_no_token_is_refused(gate: Gatelodge) -> None:
    """Text in the shape of a token gets a reason, and no fault of the server."""
    for token in ("a.b.c", "..", "e30.e30.e30", "\u00e9.b.c", "bm9wZQ.bm9wZQ.bm9wZQ", "W10.e30.AA"):
        assert await message(gate, token)


async def test_an_oversized_token_is_refused(gate: Gatelodge, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """A token over the limit of a header never reaches the cryptography, nor the log."""
    assert await message(gate, f"a.b.{'x' * 8000}")
    headers = {"Authorization": f"Bearer canary-{issuer.token(filler='x' * 100_000)}"}
    async with gate.session.get(f"{gate.url}/tools", headers=headers) as reply:
        assert reply.status == 400
    assert "not well-formed HTTP: LineTooLong" in caplog.text
    assert "canary" not in caplog.text


async def test_a_new_key_is_fetched_when_a_token_names_it(gate: Gatelodge, issuer: Issuer) -> None:
    """Rotation: a token with an unknown kid makes the server read the keys again; the old key still counts."""
    old, fresh = issuer.token("ES256"), ECKey.generate_key("P-256", {"kid": "fresh", "use": "sig"})
    issuer.keys["fresh"] = fresh
    assert (await shown(gate, issuer.token("ES256", key=fresh)))[0] == 200
    assert (await shown(gate, old))[0] == 200


async def test_a_withdrawn_key_is_forgotten(gate: Gatelodge, issuer: Issuer) -> None:
    """A token that was taken before is refused once its key is gone from the issuer's document."""
    old, fresh = issuer.token("ES256"), ECKey.generate_key("P-256", {"kid": "fresh", "use": "sig"})
    assert (await shown(gate, old))[0] == 200
    issuer.keys = {"fresh": fresh}
    assert (await shown(gate, issuer.token("ES256", key=fresh)))[0] == 200
    assert "does not publish" in await message(gate, old)


async def test_unknown_keys_do_not_make_the_server_fetch_each_time(
    open_gatelodge: OpenGatelodge, issuer: Issuer
) -> None:
    """Within the cooldown any number of made-up kids causes no fetch."""
    settings = issuer.settings | {"GATELODGE_JWT_JWKS_COOLDOWN": "600"}
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    fetched = issuer.fetches
    tokens = [issuer.token(kid=f"made-up-{number}") for number in range(20)]
    reasons = await asyncio.gather(*(message(gate, token) for token in tokens))
    assert all("does not publish" in reason for reason in reasons)
    assert issuer.fetches == fetched


async def test_the_keys_outlive_an_issuer_that_is_down(gate: Gatelodge, issuer: Issuer) -> None:
    """While the issuer is down its known keys count, and an unknown one is simply unknown."""
    issuer.up = False
    assert (await shown(gate, issuer.token()))[0] == 200
    assert "does not publish" in await message(gate, issuer.token(kid="other"))


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
    assert "does not publish" in await message(gate, issuer.token(key=weak))
    assert "does not publish" in await message(gate, issuer.token("ES256", kid="sealing"))


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


async def test_tokens_are_taken_from_the_authorization_header_alone(gate: Gatelodge, issuer: Issuer) -> None:
    """A token in the query or in another header proves nothing (RFC 6750, MCP)."""
    token = issuer.token()
    for path, headers in ((f"/tools?access_token={token}", {}), ("/tools", {"X-API-Key": token})):
        async with gate.session.get(gate.url + path, headers=headers) as reply:
            assert reply.status == 401


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


async def test_the_metadata_goes_by_the_public_address(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """Behind a proxy that hides it, the address is the one that clients use."""
    settings = issuer.settings | {"GATELODGE_PUBLIC_URL": "https://gate.example/lodge/"}
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
    async with gate.session.get(f"{gate.url}/.well-known/oauth-protected-resource/mcp") as reply:
        assert (await reply.json())["resource"] == "https://gate.example/lodge/mcp"
    async with gate.session.post(f"{gate.url}/mcp") as reply:
        challenge = reply.headers["WWW-Authenticate"]
    assert 'resource_metadata="https://gate.example/.well-known/oauth-protected-resource/lodge/mcp"' in challenge


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


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
