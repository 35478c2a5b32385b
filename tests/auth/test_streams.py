"""Streams and pipes that outlive the check at the door."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gatelodge.identity.key_store import KeyStore
from gatelodge.storage.postgres import create_pool
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, Issuer, NotesPlugin

NO_LOCAL = {"GATELODGE_LOCAL_USER": "false"}
NOTES = ("notes", NotesPlugin)
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
LISTEN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {
        "notifications": {"toolsListChanged": True},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        },
    },
}
BOTH = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def store(database: str) -> AsyncIterator[KeyStore]:
    pool = await create_pool(database, max_size=2)
    yield KeyStore(pool)
    await pool.close()


@asynccontextmanager
async def opened(gate: Gatelodge, kind: str, auth: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
    """A stream of each kind, after its first event."""
    session, headers = gate.session, BOTH | auth
    if kind == "sse":
        pending = session.get(f"{gate.url}/sse", headers=headers)
    elif kind == "listen":
        version = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
        pending = session.post(f"{gate.url}/mcp", headers=headers | version, json=LISTEN)
    else:
        async with session.post(f"{gate.url}/mcp", headers=headers, json=INITIALIZE) as reply:
            assert reply.status == 200
            session_id = reply.headers["Mcp-Session-Id"]
        pending = session.get(f"{gate.url}/mcp", headers=headers | {"Mcp-Session-Id": session_id})
    async with pending as stream:
        assert stream.status == 200
        await stream.content.readline()
        yield stream


async def ends(stream: aiohttp.ClientResponse) -> None:
    """Read until the server ends it."""
    async with asyncio.timeout(10):
        try:
            while await stream.content.readline():
                pass
        except aiohttp.ClientPayloadError:  # cut short is ended too
            pass


async def test_a_stream_ends_with_its_key(open_gatelodge: OpenGatelodge, store: KeyStore) -> None:
    """Streams of every kind end when the key they were opened with is revoked; those of another key go on."""
    key_id, key = await store.create(tenant=TENANT, user="ann", scopes=frozenset({"notes:read"}))
    _, other = await store.create(tenant=TENANT, user="bob", scopes=frozenset({"notes:read"}))
    gate = await open_gatelodge(NOTES, **NO_LOCAL)
    mine, others = {"X-API-Key": key}, {"X-API-Key": other}
    async with (
        opened(gate, "sse", mine) as sse,
        opened(gate, "session", mine) as session,
        opened(gate, "listen", mine) as listening,
        opened(gate, "sse", others) as going_on,
    ):
        await store.revoke(key_id)
        await asyncio.gather(ends(sse), ends(session), ends(listening))
        assert not going_on.content.at_eof()


async def test_a_stream_ends_with_its_token(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """A stream goes on until the token it was opened with expires, and no longer."""
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)
    token = issuer.token(exp=int(time.time()) + 2)
    async with opened(gate, "sse", {"Authorization": f"Bearer {token}"}) as stream:
        await ends(stream)


async def test_a_stream_takes_no_later_request_with_it(open_gatelodge: OpenGatelodge, store: KeyStore) -> None:
    """What follows on the connection of a stream that ended is not cut off by the key of that stream."""
    key_id, key = await store.create(tenant=TENANT, user="ann", scopes=frozenset({"notes:read"}))
    gate = await open_gatelodge(NOTES, **NO_LOCAL)
    body = {"name": "notes.read", "arguments": {}}
    streamed = f"{gate.url}/api/v1/mcp/tools/stream"
    async with gate.session.post(streamed, headers={"X-API-Key": key}, json=body) as stream:
        assert b"event: result" in await stream.read()
    await store.revoke(key_id)
    async with gate.session.get(f"{gate.url}/health") as reply:
        assert reply.status == 200


async def test_a_session_goes_by_the_token_at_hand(open_gatelodge: OpenGatelodge, issuer: Issuer) -> None:
    """A better token in the same session is better at once, and a lesser one lesser: step-up works."""
    gate = await open_gatelodge(NOTES, **NO_LOCAL, **issuer.settings)
    tokens = {
        scope: {"Authorization": f"Bearer {issuer.token(scope=scope)}"} for scope in ("notes:read", "notes:write")
    }
    async with gate.session.post(f"{gate.url}/mcp", headers=BOTH | tokens["notes:read"], json=INITIALIZE) as reply:
        session = {"Mcp-Session-Id": reply.headers["Mcp-Session-Id"]}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "notes.write", "arguments": {}}}
    seen = []
    for scope in ("notes:read", "notes:write", "notes:read"):
        headers = BOTH | session | tokens[scope]
        async with gate.session.post(f"{gate.url}/mcp", headers=headers, json=call) as reply:
            seen.append((reply.status, "insufficient_scope" in reply.headers.get("WWW-Authenticate", "")))
            answer = await reply.json()
            assert answer["id"] == 2
            assert ("result" in answer) == (reply.status == 200)
    assert seen == [(403, True), (200, False), (403, True)]


async def test_a_pipe_goes_by_its_key(database: str, store: KeyStore) -> None:
    """stdio takes its key from the environment, asks for it at each message, and says so when it is gone."""
    key_id, key = await store.create(tenant=TENANT, user="ann", scopes=frozenset({"sql:read"}))
    environment = {**os.environ, "DATABASE_URL": database, "GATELODGE_STDIO_TOKEN": key}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", "stdio"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )

    async def ask(number: int) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE | {"id": number, "method": "ping"}).encode() + b"\n")
        return json.loads(await process.stdout.readline())

    async with asyncio.timeout(60):
        assert (await ask(1))["result"] == {}
        await store.revoke(key_id)
        number = 2
        while "result" in (answer := await ask(number)):
            number += 1
        assert (answer["id"], answer["error"]["data"]["code"]) == (number, "unauthorized")
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def test_a_pipe_without_a_key_does_not_start(database: str) -> None:
    """stdio over somebody's Postgres needs a key; the refusal is one line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatelodge", "stdio"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": database},
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().splitlines()[-1].startswith("gatelodge: unauthorized: ")
    assert "GATELODGE_STDIO_TOKEN" in errors.decode()
