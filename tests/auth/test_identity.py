"""The ways in that need no key of one's own: the shared key, headers of a trusted peer, and this machine's user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from gatelodge import LOCAL_TENANT, Credentials, Environment, StartupError
from gatelodge.application import open_server
from gatelodge.middleware.local import LocalUserPlugin
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, Issuer, NotesPlugin

NOTES = ("notes", NotesPlugin)
NO_LOCAL = {"GATELODGE_LOCAL_USER": "false"}
SHARED = "a shared key, long enough"
IDENTITY = {"X-Tenant-ID": str(TENANT), "X-User-ID": "ann"}


async def who(gate: Gatelodge, headers: Mapping[str, str], tool: str = "notes.read") -> Any:
    """Who a call with those headers is taken for, or the status and message of its refusal."""
    body = {"name": tool, "arguments": {}}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        answer = await reply.json()
    return answer["result"] if reply.status == 200 else (reply.status, answer["error"]["message"])


async def test_the_shared_key(open_gatelodge: OpenGatelodge) -> None:
    """`MCP_API_KEY` makes its holder one user, in either header; nothing close to it does."""
    gate = await open_gatelodge(NOTES, **NO_LOCAL, MCP_API_KEY=SHARED, MCP_API_KEY_TENANT=str(TENANT))
    holder = {"tenant": str(TENANT), "user": "shared-key", "method": "shared_key"}
    for headers in ({"X-API-Key": SHARED}, {"Authorization": f"Bearer {SHARED}"}):
        assert await who(gate, headers, "notes.write") == holder
    for wrong in (SHARED[:-1], SHARED + "x", SHARED.upper(), "", "\u00e9"):
        assert (await who(gate, {"X-API-Key": wrong}))[0] == 401
    assert (await who(gate, {"Authorization": f"Basic {SHARED}"}))[0] == 401
    assert await who(gate, {}) == (401, "Credentials are required.")


async def test_the_shared_key_has_the_scopes_it_is_given(open_gatelodge: OpenGatelodge) -> None:
    """The operator narrows what the shared key may do."""
    gate = await open_gatelodge(NOTES, **NO_LOCAL, MCP_API_KEY=SHARED, MCP_API_KEY_SCOPES="notes:read,sql:read")
    assert (await who(gate, {"X-API-Key": SHARED}))["user"] == "shared-key"
    assert await who(gate, {"X-API-Key": SHARED}, "notes.write") == (403, "notes.write needs notes:write.")


async def test_a_short_shared_key_stops_the_start() -> None:
    """A key that can be guessed is refused, and not shown in the refusal."""
    with pytest.raises(StartupError, match="MCP_API_KEY") as refusal:
        async with open_server({"MCP_API_KEY": "s3cr3t"}):
            pass
    assert "s3cr3t" not in str(refusal.value)


async def test_identity_headers_of_this_machine(open_gatelodge: OpenGatelodge) -> None:
    """On loopback the headers name the caller; a wrong or missing one is named instead."""
    gate = await open_gatelodge(NOTES, **NO_LOCAL)
    assert await who(gate, IDENTITY) == {"tenant": str(TENANT), "user": "ann", "method": "identity_headers"}
    assert await who(gate, IDENTITY | {"X-Tenant-ID": "acme"}) == (401, "X-Tenant-ID must be a UUID.")
    assert await who(gate, {"X-User-ID": "ann"}) == (401, "X-Tenant-ID must be a UUID.")
    assert await who(gate, {"X-Tenant-ID": str(TENANT)}) == (401, "X-User-ID must be 1 to 255 printable characters.")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto"])
async def test_a_proxy_that_is_not_trusted_speaks_for_nobody(open_gatelodge: OpenGatelodge, header: str) -> None:
    """Behind a proxy on the same machine neither the headers nor the local user count, unless it is trusted."""
    gate = await open_gatelodge(NOTES, GATELODGE_IDENTITY_HEADERS="true")
    forwarded = {header: "for=192.0.2.7" if header == "Forwarded" else "192.0.2.7"}
    assert (await who(gate, {}))["method"] == "local"
    assert (await who(gate, forwarded))[0] == 401
    assert (await who(gate, IDENTITY | forwarded))[0] == 401


async def test_a_trusted_proxy_speaks_for_its_callers(open_gatelodge: OpenGatelodge) -> None:
    """The headers of a configured proxy are believed; the caller without them is not this machine's user."""
    gate = await open_gatelodge(NOTES, GATELODGE_TRUSTED_PROXIES="127.0.0.0/8")
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    assert (await who(gate, IDENTITY | forwarded))["user"] == "ann"
    assert (await who(gate, forwarded))[0] == 401


async def test_headers_are_no_way_around_something_stronger(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """With JWT or a shared key set up, identity headers count only where the operator says so."""
    for settings in (issuer.settings, {"MCP_API_KEY": SHARED}):
        gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings)
        assert (await who(gate, IDENTITY))[0] == 401
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **settings, GATELODGE_IDENTITY_HEADERS="true")
    assert (await who(gate, IDENTITY))["user"] == "ann"
    assert (await who(gate, IDENTITY | {"X-API-Key": "wrong"}))[0] == 401


async def test_no_header_counts_twice(open_gatelodge: OpenGatelodge) -> None:
    """A client cannot add its own tenant beside the one its proxy sets."""
    gate = await open_gatelodge(NOTES)
    for name in ("X-Tenant-ID", "X-User-ID", "Authorization", "X-API-Key"):
        async with gate.session.get(f"{gate.url}/tools", headers=[(name, "a"), (name, "b")]) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (400, "validation_error")


async def test_the_local_user_shows_nothing(open_gatelodge: OpenGatelodge) -> None:
    """The caller without credentials is the local user; one with wrong ones is nobody."""
    gate = await open_gatelodge(NOTES)
    assert await who(gate, {}) == {"tenant": str(LOCAL_TENANT), "user": "local", "method": "local"}
    assert (await who(gate, {"Authorization": "Bearer nonsense"}))[0] == 401


@pytest.mark.parametrize(
    ("variables", "allowed"),
    [
        ({}, True),
        ({"DATABASE_URL": "postgresql://db"}, False),
        ({"DATABASE_URL": "postgresql://db", "GATELODGE_LOCAL_USER": "true"}, True),
        ({"GATELODGE_LOCAL_USER": "false"}, False),
        ({"GATELODGE_HOST": "0.0.0.0"}, False),
        ({"GATELODGE_HOST": "0.0.0.0", "GATELODGE_LOCAL_USER": "true"}, False),
        ({"GATELODGE_HOST": "::1"}, True),
        ({"GATELODGE_HOST": "localhost"}, True),
        ({"GATELODGE_HOST": "gate.example"}, False),
    ],
)
def test_where_there_is_a_local_user(variables: dict[str, str], allowed: bool) -> None:
    """By default with the embedded Postgres alone, and never on an address that others reach."""
    plugin = LocalUserPlugin()
    plugin.gatelodge_configure(Environment(variables))
    assert bool(plugin.gatelodge_authenticators()) == allowed


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({}, None),
        ({"authorization": "Bearer  abc "}, "abc"),
        ({"authorization": "bearer abc"}, "abc"),
        ({"authorization": "Basic abc", "x-api-key": "def"}, None),
        ({"authorization": "Bearer abc", "x-api-key": "def"}, "abc"),
        ({"x-api-key": "def"}, "def"),
        ({"authorization": "Bearer"}, ""),
    ],
)
def test_what_a_caller_shows(headers: dict[str, str], secret: str | None) -> None:
    """`Authorization` goes first, and another scheme than Bearer is not passed over."""
    assert Credentials(headers=headers, address=None, trusted_peer=False, door="http").secret == secret


def test_which_address_is_this_machine() -> None:
    """Loopback addresses of both families, and nothing else."""

    def local(address: str | None) -> bool:
        return Credentials(headers={}, address=address, trusted_peer=False, door="http").from_this_machine

    assert [local(address) for address in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1")] == [True] * 4
    assert [local(address) for address in ("10.0.0.1", "::", "0.0.0.0", "", None, str(UUID(int=1)))] == [False] * 6
