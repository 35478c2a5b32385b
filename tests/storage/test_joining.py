"""Commands work on the embedded Postgres of a server that runs."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from gatelodge.storage import StorageError
from gatelodge.storage.joining import running_dsn
from gatelodge.storage.opening import StorageSettings, open_dsn, open_storage


async def test_a_command_joins_the_server_that_runs(data_dir: Path) -> None:
    """Beside a running server the same database is reached, as the same role; a second server is still refused."""
    settings = StorageSettings(data_dir=str(data_dir))
    assert await running_dsn(data_dir) is None
    async with open_storage(settings) as serving:
        await serving.postgres.execute("INSERT INTO settings (name, value) VALUES ('x', '1')")
        async with open_storage(settings, join=True) as joined:
            assert await joined.postgres.fetchval("SELECT value FROM settings") == 1
            assert await joined.postgres.fetchval("SELECT current_user") == "gatelodge"
            assert (
                await joined.postgres.fetchval("SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname = user") == 0
            )
        with pytest.raises(StorageError, match="in use"):
            async with open_storage(settings):
                pass
        assert await serving.postgres.fetchval("SELECT 1") == 1
    assert await running_dsn(data_dir) is None


async def test_without_a_server_a_command_runs_its_own(data_dir: Path) -> None:
    """What a dead server left behind does not mislead."""
    settings = StorageSettings(data_dir=str(data_dir))
    async with open_dsn(settings):
        left = (data_dir / "postgres" / "postmaster.pid").read_text()
    (data_dir / "postgres" / "postmaster.pid").write_text(left)
    assert await running_dsn(data_dir) is None
    async with open_dsn(settings) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT current_user") == "gatelodge"
        await connection.close()
