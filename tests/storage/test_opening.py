"""Opening the server's storage from its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelodge.settings import Environment
from gatelodge.storage import StorageError, migrations
from gatelodge.storage.opening import StorageSettings, open_storage


def settings(**variables: str) -> StorageSettings:
    return Environment(variables).read(StorageSettings)


async def test_the_embedded_database_is_migrated_at_the_start(data_dir: Path) -> None:
    """Without a DATABASE_URL the tables are there as soon as the storage is open, and there is no Redis."""
    async with open_storage(settings(GATELODGE_DATA_DIR=str(data_dir))) as storage:
        assert storage.embedded
        assert storage.redis is None
        assert await storage.postgres.fetchval("SELECT count(*) FROM tenants") == 0


async def test_a_configured_database_must_be_migrated_first(empty_database: str, valkey: str) -> None:
    """A server does not change a database of others by itself: it says what to run, and opens once that is done."""
    chosen = settings(DATABASE_URL=empty_database, REDIS_URL=valkey, GATELODGE_POOL_SIZE="3")
    with pytest.raises(
        StorageError, match=r"\d+ migrations are not applied \(0001_tenants first\).*gatelodge migrate up"
    ):
        async with open_storage(chosen):
            pass
    await migrations.up(empty_database)
    async with open_storage(chosen) as storage:
        assert not storage.embedded
        assert storage.postgres.get_max_size() == 3
        assert storage.redis is not None
        assert await storage.redis.ping()
