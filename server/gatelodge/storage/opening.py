"""Open what a server stores its state in: the configured Postgres or the embedded one, and Redis where there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from marshmallow import fields, validate

from ..contract import Observer
from ..settings import setting
from ..switches import Changes
from . import Storage, StorageError, migrations
from .embedded import default_data_dir, embedded_postgres
from .joining import running_dsn
from .postgres import create_pool, plain_dsn
from .redis import connect


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """`database_url` of None means the embedded Postgres, in `data_dir`."""

    database_url: str | None = setting(
        "DATABASE_URL",
        fields.String(),
        default=None,
        help="Postgres; without it an embedded one is started.",
        secret=True,
    )
    redis_url: str | None = setting(
        "REDIS_URL",
        fields.String(),
        default=None,
        help="Redis or Valkey; without it state stays in the process.",
        secret=True,
    )
    data_dir: str | None = setting(
        "GATELODGE_DATA_DIR", fields.String(), default=None, help="Folder of the embedded Postgres."
    )
    pool_size: int = setting(
        "GATELODGE_POOL_SIZE",
        fields.Integer(validate=validate.Range(min=2, max=1000)),
        default=20,
        help="Connections to Postgres; the audit keeps one.",
    )

    @property
    def embedded(self) -> bool:
        return self.database_url is None


@asynccontextmanager
async def open_dsn(settings: StorageSettings, *, join: bool = True) -> AsyncIterator[str]:
    """The DSN to use; an embedded Postgres runs for as long as this is open.

    `join` says that the one of a server that runs already will do, which is what a command beside it wants.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    data_dir = Path(settings.data_dir) if settings.data_dir else default_data_dir()
    if join and (running := await running_dsn(data_dir)) is not None:
        yield running
        return
    async with embedded_postgres(data_dir) as dsn:
        yield dsn


@asynccontextmanager
async def open_storage(
    settings: StorageSettings,
    sources: Sequence[str] = (),
    *,
    join: bool = False,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[Storage]:
    """Pools for the time a server runs. Migrates the embedded Postgres; a configured one must be migrated already.

    Raises `StorageError`.
    """
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(open_dsn(settings, join=join))
        all_sources = [*migrations.CORE, *sources]
        if settings.embedded:
            await migrations.up(dsn, all_sources)
        else:
            await _refuse_unmigrated(dsn, all_sources)
        pool = await create_pool(dsn, max_size=settings.pool_size, observers=observers)
        stack.push_async_callback(pool.close)
        redis = None
        if settings.redis_url is not None:
            redis = connect(settings.redis_url, observers)
            stack.push_async_callback(redis.aclose)
        changes = await stack.enter_async_context(Changes(plain_dsn(dsn)).listening())
        yield Storage(pool, redis, embedded=settings.embedded, changes=changes, observers=tuple(observers))


async def _refuse_unmigrated(dsn: str, sources: Sequence[str]) -> None:
    pending = [item.name for item in await migrations.status(dsn, sources) if not item.applied]
    if pending:
        raise StorageError(f"{len(pending)} migrations are not applied ({pending[0]} first); run: gatelodge migrate up")
