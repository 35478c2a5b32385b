"""API keys, over HTTP and by the command line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gatelodge import LOCAL_TENANT, StartupError
from gatelodge.application import open_server
from gatelodge.cli import cli
from gatelodge.identity.key_ring import KeyRing
from gatelodge.identity.key_store import KeyStore
from gatelodge.identity.keys import ApiKey, fingerprint, new_key
from gatelodge.storage.postgres import create_pool
from gatelodge.switches import Changes
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..guests import TENANT, NotesPlugin

NO_LOCAL = {"GATELODGE_LOCAL_USER": "false"}
NOTES = ("notes", NotesPlugin)


@pytest.fixture
async def store(database: str) -> Any:
    pool = await create_pool(database, max_size=2)
    yield KeyStore(pool)
    await pool.close()


@pytest.fixture
async def gate(open_gatelodge: OpenGatelodge) -> Gatelodge:
    return await open_gatelodge(NOTES, **NO_LOCAL)


async def created(store: KeyStore, **changes: Any) -> tuple[str, str]:
    """The id and the text of a key that may read notes."""
    return await store.create(**({"tenant": TENANT, "user": "ann", "scopes": frozenset({"notes:read"})} | changes))


async def status(gate: Gatelodge, key: str, tool: str = "notes.read") -> int:
    body = {"name": tool, "arguments": {}}
    async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers={"X-API-Key": key}) as reply:
        await reply.read()
        return reply.status


async def becomes(gate: Gatelodge, key: str, wanted: int) -> None:
    """Wait until the key gets that answer."""
    async with asyncio.timeout(10):
        while await status(gate, key) != wanted:  # noqa: ASYNC110, the change comes through Postgres
            await asyncio.sleep(0.02)


async def test_a_key_names_its_holder(gate: Gatelodge, store: KeyStore) -> None:
    """A key is taken in both headers, and stands for its tenant, user and scopes."""
    _, key = await created(store)
    await becomes(gate, key, 200)
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}):
        body = {"name": "notes.read", "arguments": {}}
        async with gate.session.post(f"{gate.url}/tools/invoke", json=body, headers=headers) as reply:
            answer = await reply.json()
        assert answer["result"] == {"tenant": str(TENANT), "user": "ann", "method": "api_key"}
    assert await status(gate, key, "notes.write") == 403


async def test_a_wrong_key_is_refused(gate: Gatelodge, store: KeyStore) -> None:
    """Another secret under a known id, an unknown id and what is no key are refused alike."""
    key_id, key = await created(store)
    await becomes(gate, key, 200)
    other = new_key()[1]
    borrowed = f"glk_{key_id}_{other.rpartition('_')[2]}"
    for wrong in (borrowed, other, key[:-1], key + "0", key.upper(), "glk_", "glk__", "", "nonsense", f" {key}x"):
        assert await status(gate, wrong) == 401


class NeverEqual(bytes):
    """A hash that must not be compared byte by byte until the first difference."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("this comparison tells by its time how much is right")

    __hash__ = bytes.__hash__


def test_comparing_takes_the_same_time_whatever_is_right() -> None:
    """A key is compared by its hash, and that in constant time."""
    key_id, shown = new_key()
    key = ApiKey(id=key_id, tenant=TENANT, user="ann", scopes=frozenset(), hash=NeverEqual(fingerprint(shown)))
    assert key.opens_with(shown)
    assert not key.opens_with(new_key()[1])


async def test_two_keys_at_once_are_refused(gate: Gatelodge, store: KeyStore) -> None:
    """A second header of the same name is a dispute about who calls, and nobody's win."""
    _, key = await created(store)
    await becomes(gate, key, 200)
    headers = [("X-API-Key", key), ("X-API-Key", key)]
    async with gate.session.get(f"{gate.url}/tools", headers=headers) as reply:
        assert reply.status == 400


async def test_only_a_hash_is_kept(database: str, store: KeyStore) -> None:
    """The row holds nothing that opens the door."""
    key_id, key = await created(store)
    connection = await asyncpg.connect(database)
    row = await connection.fetchval("SELECT api_keys::text FROM api_keys WHERE id = $1", key_id)
    await connection.close()
    assert key not in row
    assert key.rpartition("_")[2] not in row


async def test_a_key_expires(gate: Gatelodge, store: KeyStore) -> None:
    """A key is good until its time, to the moment."""
    _, dead = await created(store, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    _, brief = await created(store, expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    await becomes(gate, brief, 200)
    assert await status(gate, dead) == 401
    await becomes(gate, brief, 401)


async def test_a_revoked_key_is_refused_by_every_replica(open_gatelodge: OpenGatelodge, store: KeyStore) -> None:
    """Revoking reaches servers that took the key a moment ago."""
    gates = [await open_gatelodge(NOTES, **NO_LOCAL) for _ in range(2)]
    key_id, key = await created(store)
    await asyncio.gather(*(becomes(gate, key, 200) for gate in gates))
    await store.revoke(key_id)
    await asyncio.gather(*(becomes(gate, key, 401) for gate in gates))


async def test_a_deleted_key_is_refused(gate: Gatelodge, store: KeyStore, database: str) -> None:
    """A row removed by hand counts as revoked."""
    key_id, key = await created(store)
    await becomes(gate, key, 200)
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM api_keys WHERE id = $1", key_id)
    await connection.close()
    await becomes(gate, key, 401)


async def test_rotation_leaves_the_old_key_for_a_while(gate: Gatelodge, store: KeyStore) -> None:
    """Both keys are live during the overlap; the new one has the rights of the old one, and outlives it."""
    old_id, old = await created(store, tools=("notes.*",))
    await becomes(gate, old, 200)
    new_id, new = await store.rotate(old_id, overlap=timedelta(seconds=1.5))
    await becomes(gate, new, 200)
    assert await status(gate, old) == 200
    await becomes(gate, old, 401)
    assert await status(gate, new) == 200
    keys = {key.id: key for key in await store.all()}
    assert keys[new_id].rotated_from == old_id
    assert (keys[new_id].scopes, keys[new_id].tools) == (keys[old_id].scopes, ("notes.*",))


async def test_the_steady_state_asks_postgres_nothing(gate: Gatelodge, store: KeyStore, superuser: str) -> None:
    """Who holds which key is known in the process: even made-up keys cause no query."""
    _, key = await created(store)
    await becomes(gate, key, 200)
    connection = await asyncpg.connect(superuser)
    await connection.execute("ALTER TABLE api_keys RENAME TO gone")
    assert await status(gate, key) == 200
    assert await status(gate, new_key()[1]) == 401
    await connection.execute("ALTER TABLE gone RENAME TO api_keys")
    await connection.close()


async def test_the_last_use_is_written_down_now_and_then(store: KeyStore) -> None:
    """Uses are gathered and written together; a change of the last use is no change of the key."""
    ring = KeyRing(store)
    key_id, key = await created(store)
    async with ring.following(Changes()):
        assert ring.find(key) is not None
        before = {key.id: key for key in await store.all()}[key_id]
        await ring.write_uses()
        after = {key.id: key for key in await store.all()}[key_id]
    assert before.last_used_at is None
    assert after.last_used_at is not None


async def test_waiting_for_the_end_of_a_key(store: KeyStore, database: str) -> None:
    """Who waits for a key's end is woken by its revocation and by its expiry, also by one that is set later."""
    changes, ring = Changes(database), KeyRing(store)
    async with changes.listening(), ring.following(changes):
        ids = [(await created(store))[0] for _ in range(3)]
        async with asyncio.timeout(10):
            while len(ring) < len(ids):  # noqa: ASYNC110, the keys come through Postgres
                await asyncio.sleep(0.01)
            waiting = [asyncio.create_task(ring.ended(key_id)) for key_id in ids]
            await store.revoke(ids[0])
            await store.rotate(ids[1], overlap=timedelta(seconds=0.5))
            await asyncio.gather(*waiting[:2])
        assert not waiting[2].done()
        waiting[2].cancel()


async def test_a_public_listener_needs_a_key(database: str, store: KeyStore) -> None:
    """Without any way to prove an identity a public address is refused; one key makes the difference."""
    variables = {"DATABASE_URL": database, "GATELODGE_HOST": "0.0.0.0", "GATELODGE_LOCAL_USER": "true"}
    with pytest.raises(StartupError, match="gatelodge keys create"):
        async with open_server(variables):
            pass
    await created(store)
    async with open_server(variables) as server:
        assert "local" not in [item.name for item in server.policy.authenticators]


def run(database: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"DATABASE_URL": database})


async def test_keys_by_the_command_line(database: str, store: KeyStore) -> None:
    """`gatelodge keys` creates, lists, rotates and revokes; stdout holds the key alone."""

    async def keys(*arguments: str) -> Result:
        return await asyncio.to_thread(run, database, "keys", *arguments)

    made = await keys("create", "--user", "ann", "--scope", "jira:read", "--scope", "sql:read", "--days", "30")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    (row,) = await store.all()
    assert row.opens_with(key)
    assert (row.tenant, row.user, row.scopes) == (LOCAL_TENANT, "ann", {"jira:read", "sql:read"})
    rotated = await keys("rotate", row.id, "--overlap", "2")
    assert rotated.stdout.startswith("glk_")
    assert (await keys("revoke", row.id)).exit_code == 0
    listed = await keys("list", "--json")
    assert [line.count('"revoked"') for line in listed.stdout.splitlines()] == [1, 0]
    assert key not in listed.stdout
    assert "revoked" in (await keys("list")).stdout
    unknown = await keys("revoke", "nobody")
    assert (unknown.exit_code, "not_found: There is no key 'nobody'" in unknown.stderr) == (1, True)
    again = await keys("rotate", row.id)
    assert (again.exit_code, "conflict:" in again.stderr) == (1, True)
