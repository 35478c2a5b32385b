"""A token issuer that is a real HTTP server, and a plugin to be governed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from marshmallow import Schema, fields

from gatelodge import READ, WRITE, Argument, Call, Prompt, Resource, Result, Tool, hookimpl
from gatelodge.content import Message, Text, TextContents
from gatelodge.testing import Gatelodge

TENANT = UUID("6f2d5a52-55ce-4b4c-8b4f-3e8f8a4f7f10")
AUDIENCE = "https://gate.example/mcp"


class AnyAlgorithm(jws.JWSRegistry):
    """For an issuer that may sign with what nobody should take."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


LENIENT = AnyAlgorithm(strict_check_header=False)


class Whoami(Schema):
    tenant = fields.UUID(required=True)
    user = fields.String(required=True)
    method = fields.String(required=True)


class Nothing(Schema):
    pass


async def suggest(call: Call) -> Sequence[str]:
    return ("one", "two")


async def whoami(call: Call) -> Mapping[str, Any]:
    principal = call.principal
    return {"tenant": principal.tenant, "user": principal.user, "method": principal.method}


class NotesPlugin:
    """A reading tool and a writing one that tell who called them, a resource and a prompt."""

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return tuple(
            Tool(
                name=f"notes.{verb}",
                title=verb,
                description=f"Notes: {verb}.",
                input=Nothing,
                output=Whoami,
                handler=whoami,
                annotations=annotations,
            )
            for verb, annotations in (("read", READ), ("write", WRITE))
        )

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        async def read(call: Call) -> Result:
            return Result(content=(TextContents(call.arguments["uri"], "a note"),))

        return (
            Resource(uri="notes://all", name="all", title="All", description="All notes.", handler=read),
            Resource(
                uri="notes://one/{id}",
                name="one",
                title="One",
                description="One note.",
                handler=read,
                complete={"id": suggest},
            ),
        )

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        async def render(call: Call) -> Result:
            return Result(content=(Message("user", Text("Sum the notes up.")),))

        style = Argument(name="style", description="How.", complete=suggest)
        return (Prompt(name="sum_up", title="Sum up", description="Sums up.", handler=render, arguments=(style,)),)


def new_keys() -> dict[str, Any]:
    """A private key for each algorithm, with the algorithm as its `kid`."""
    return {
        "RS256": RSAKey.generate_key(2048, {"kid": "RS256", "use": "sig"}),
        "ES256": ECKey.generate_key("P-256", {"kid": "ES256", "use": "sig"}),
        "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "EdDSA", "use": "sig"}),
    }


@dataclass(slots=True)
class Issuer:
    """Signs tokens and publishes its keys, as long as it is up."""

    keys: dict[str, Any]
    url: str = ""
    up: bool = True
    fetches: int = 0
    body: bytes | None = None
    extra: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "GATELODGE_JWT_ISSUER": self.url,
            "GATELODGE_JWT_AUDIENCE": AUDIENCE,
            "GATELODGE_JWT_JWKS_URL": f"{self.url}/keys",
            "GATELODGE_JWT_JWKS_COOLDOWN": "0",
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token says; a change to None leaves the claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "tenant_id": str(TENANT),
            "scope": "notes:read",
            "iat": now,
            "exp": now + 600,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, algorithm: str = "RS256", *, key: Any = None, kid: str | None = None, **changes: Any) -> str:
        signing = key or self.keys[algorithm]
        header = {"alg": algorithm, "kid": kid or signing.kid}
        return jwt.encode(header, self.claims(**changes), signing, algorithms=[algorithm], registry=LENIENT)

    def restore(self, keys: dict[str, Any]) -> None:
        """Up, and with these keys alone."""
        self.keys, self.up, self.body, self.extra = dict(keys), True, None, []

    async def publish(self, request: web.Request) -> web.Response:
        self.fetches += 1
        if not self.up:
            return web.Response(status=500)
        if self.body is not None:
            return web.Response(body=self.body)
        return web.json_response({"keys": [*(key.as_dict(private=False) for key in self.keys.values()), *self.extra]})

    async def describe(self, request: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})


async def shown(gate: Gatelodge, token: str, tool: str = "notes.read") -> tuple[int, dict[str, Any]]:
    """Status and body of a call with that token."""
    body = {"name": tool, "arguments": {}}
    headers = {"Authorization": f"Bearer {token}"}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
        return reply.status, await reply.json()


async def refusal(gate: Gatelodge, token: str) -> str:
    """Why a token is refused."""
    status, body = await shown(gate, token)
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    return str(body["error"]["message"])


@asynccontextmanager
async def issuing(keys: dict[str, Any]) -> AsyncIterator[Issuer]:
    """An issuer that listens."""
    issuer = Issuer(dict(keys))
    app = web.Application()
    app.router.add_get("/keys", issuer.publish)
    app.router.add_get("/.well-known/openid-configuration", issuer.describe)
    server = TestServer(app)
    await server.start_server()
    issuer.url = str(server.make_url("")).rstrip("/")
    yield issuer
    await server.close()
