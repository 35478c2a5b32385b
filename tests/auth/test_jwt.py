"""What a JWT bearer token has to be, over HTTP, with an issuer that is a real server."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from gatelodge.application import open_server
from gatelodge.listening import listening
from gatelodge.testing import DEFAULTS, Cluster, Gatelodge

from ..guests import TENANT, Issuer, NotesPlugin, issuing, refusal, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(cluster: Cluster, signing_keys: dict[str, Any]) -> AsyncIterator[tuple[Issuer, Gatelodge]]:
    """One issuer and one server that takes its tokens, for all tests of this file."""
    async with cluster.fresh() as database, issuing(signing_keys) as issuer:
        variables = {**DEFAULTS, **issuer.settings, "DATABASE_URL": database, "GATELODGE_LOCAL_USER": "false"}
        async with (
            open_server(variables, extra_plugins=[("notes", NotesPlugin)]) as server,
            listening(server) as urls,
            aiohttp.ClientSession() as session,
        ):
            yield issuer, Gatelodge(server, urls, session)


@pytest.fixture
def issuer(guarded: tuple[Issuer, Gatelodge], signing_keys: dict[str, Any]) -> Issuer:
    """The issuer as it was before any test changed it."""
    guarded[0].restore(signing_keys)
    return guarded[0]


@pytest.fixture
def gate(guarded: tuple[Issuer, Gatelodge]) -> Gatelodge:
    return guarded[1]


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
        assert reason in await refusal(gate, issuer.token(**changes))


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
            assert "algorithm" in await refusal(gate, f"{header}.{claims}.{signature}")


async def test_a_public_key_is_no_shared_secret(gate: Gatelodge, issuer: Issuer) -> None:
    """A token signed by HMAC with the public key as its secret (algorithm confusion) is refused."""
    unsigned = f"{encoded({'alg': 'HS256', 'kid': 'RS256'})}.{encoded(issuer.claims())}"
    signature = hmac.digest(issuer.keys["RS256"].as_pem(private=False), unsigned.encode(), "sha256")
    forged = f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert "algorithm is not one of" in await refusal(gate, forged)


async def test_a_token_does_not_bring_its_own_key(gate: Gatelodge, issuer: Issuer) -> None:
    """A key in the header, or an address of one, counts for nothing; nor is a name of a key a path or an address."""
    stranger = ECKey.generate_key("P-256", {"kid": "ES256"})
    own = stranger.as_dict(private=False)
    for extra in ({"jwk": own}, {"jku": f"{issuer.url}/keys"}, {"x5u": f"{issuer.url}/cert"}, {"x5c": ["MIIB"]}):
        forged = jwt.encode({"alg": "ES256", "kid": "ES256", **extra}, issuer.claims(), stranger)
        assert "signature is not valid" in await refusal(gate, forged)
    for kid in ("../../../../etc/passwd", "/dev/null", "' OR 1=1 --", f"{issuer.url}/keys", "x" * 4000, "RS256\u0000"):
        reason = await refusal(gate, issuer.token("ES256", key=stranger, kid=kid))
        assert "does not publish" in reason or "not a well-formed JWT" in reason


async def test_what_a_token_calls_critical_must_be_understood(gate: Gatelodge, issuer: Issuer) -> None:
    """A header that says "understand this or refuse me" is refused (RFC 7515, 4.1.11), an unencoded payload too (RFC 7797)."""
    key = issuer.keys["ES256"]
    for extra in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": "exp"}):
        header = {"alg": "ES256", "kid": "ES256", **extra}
        unsigned = f"{encoded(header)}.{encoded(issuer.claims())}"
        signature = JWSRegistry.algorithms["ES256"].sign(unsigned.encode(), key)
        signed = f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        assert (extra, (await shown(gate, signed))[0]) == (extra, 401)


async def test_a_key_checks_only_its_own_algorithm(gate: Gatelodge, issuer: Issuer) -> None:
    """A token that names the key of another algorithm is refused without trying it."""
    assert "does not publish" in await refusal(gate, issuer.token("RS256", kid="ES256"))
    assert "algorithm is not one of" in await refusal(gate, issuer.token("RS512", key=issuer.keys["RS256"]))


async def test_another_key_under_a_known_name_is_refused(gate: Gatelodge, issuer: Issuer) -> None:
    """The signature counts, not the name of the key."""
    stranger = ECKey.generate_key("P-256")
    assert "signature is not valid" in await refusal(gate, issuer.token("ES256", key=stranger, kid="ES256"))


async def test_a_changed_token_is_refused(gate: Gatelodge, issuer: Issuer) -> None:
    """Other claims under the same signature are refused, also after the good token was seen."""
    good = issuer.token()
    assert (await shown(gate, good))[0] == 200
    header, _, signature = good.split(".")
    forged = f"{header}.{encoded(issuer.claims(sub='root'))}.{signature}"
    assert "signature is not valid" in await refusal(gate, forged)


async def test_what_is_no_token_is_refused(gate: Gatelodge) -> None:
    """Text in the shape of a token gets a reason, and no fault of the server."""
    for token in ("a.b.c", "..", "e30.e30.e30", "\u00e9.b.c", "bm9wZQ.bm9wZQ.bm9wZQ", "W10.e30.AA"):
        assert await refusal(gate, token)


async def test_an_oversized_token_is_refused(gate: Gatelodge, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """A token over the limit of a header never reaches the cryptography, nor the log."""
    assert await refusal(gate, f"a.b.{'x' * 8000}")
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
    old, fresh = issuer.token("ES256"), ECKey.generate_key("P-256", {"kid": "another", "use": "sig"})
    assert (await shown(gate, old))[0] == 200
    issuer.keys = {"another": fresh}
    assert (await shown(gate, issuer.token("ES256", key=fresh)))[0] == 200
    assert "does not publish" in await refusal(gate, old)


async def test_the_keys_outlive_an_issuer_that_is_down(gate: Gatelodge, issuer: Issuer) -> None:
    """While the issuer is down its known keys count, and an unknown one is simply unknown."""
    assert (await shown(gate, issuer.token()))[0] == 200
    issuer.up = False
    assert (await shown(gate, issuer.token(sub="bob")))[0] == 200
    assert "does not publish" in await refusal(gate, issuer.token(kid="other"))


async def test_tokens_are_taken_from_the_authorization_header_alone(gate: Gatelodge, issuer: Issuer) -> None:
    """A token in the query or in another header proves nothing (RFC 6750, MCP)."""
    token = issuer.token()
    for path, headers in ((f"/tools?access_token={token}", {}), ("/tools", {"X-API-Key": token})):
        async with gate.session.get(gate.url + path, headers=headers) as reply:
            assert reply.status == 401


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
