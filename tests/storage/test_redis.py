"""The Redis client against a real Valkey, and against nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gatelodge.storage import StorageError
from gatelodge.storage.redis import connect


async def test_it_speaks_to_a_real_server(valkey: str) -> None:
    """What is written is read, and the connection says whose it is."""
    client = connect(valkey)
    try:
        assert await client.dbsize() == 0
        await client.set("a", "1")
        assert await client.get("a") == b"1"
        assert await client.client_getname() in ("gatelodge", b"gatelodge")
    finally:
        await client.aclose()


async def test_each_test_finds_it_empty(valkey: str) -> None:
    """The fixture removes what the test before has left."""
    client = connect(valkey)
    try:
        assert await client.dbsize() == 0
        await client.set("a", "1")
    finally:
        await client.aclose()


async def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Connecting is left to the first command, which fails instead of waiting."""
    for url in (f"unix://{tmp_path}/nothing", "redis://127.0.0.1:1", "valkey://127.0.0.1:1"):
        client = connect(url)
        with pytest.raises(RedisConnectionError):
            await client.ping()
        await client.aclose()


@pytest.mark.parametrize(
    "url", ["http://:canary@host", "canary", "redis://:canary@host:port", "redis://host/1?db=canary"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """The error says which setting it is and does not quote it."""
    with pytest.raises(StorageError, match="REDIS_URL") as caught:
        connect(url)
    assert "canary" not in str(caught.value)
