"""Connections to Postgres by asyncpg, and the pool."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import msgspec

from ..contract import Asked, Observer
from . import StorageError

if TYPE_CHECKING:
    from asyncpg import Pool
    from asyncpg.connection import LoggedQuery
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[Any] | PoolConnectionProxy[Any]

UNOBSERVED = nullcontext()
CONNECT_TIMEOUT = 10.0
NOT_A_URL = (ValueError, OverflowError)
CONNECTION_ERRORS = (OSError, *NOT_A_URL, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What asyncpg raises when a server cannot be reached, or does not let us in."""
HOST = r"([\w.-]*|\[[0-9a-fA-F:.]+\])(:\d+)?"
SHOWABLE = re.compile(rf"(?P<scheme>[a-z+0-9]+://)([^@/?#]*@)?(?P<place>{HOST}(,{HOST})*(/[\w.%-]*)?)(\?[^@#]*)?")


def plain_dsn(url: str) -> str:
    """The URL without SQLAlchemy's driver part: `postgresql+asyncpg://` is what the guides people follow say."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def shown_dsn(url: str) -> str:
    """The URL as it may be shown to a person: without user, password and query.

    Of one that is not well-formed nothing is shown, because a password may hold any delimiter.
    """
    found = SHOWABLE.fullmatch(url)
    return f"{found['scheme']}{found['place']}" if found else "postgresql://…"


async def connect(dsn: str) -> Connection:
    """One connection. Raises `StorageError`."""
    try:
        return await asyncpg.connect(plain_dsn(dsn), timeout=CONNECT_TIMEOUT)
    except CONNECTION_ERRORS as error:
        raise unusable(dsn, error) from None


async def create_pool(
    dsn: str,
    *,
    max_size: int = 20,
    command_timeout: float = 30.0,
    application: str = "gatelodge",
    observers: Sequence[Observer] = (),
) -> Pool[Any]:
    """A pool whose connections speak JSON by msgspec. Raises `StorageError` when the first one cannot be made.

    `command_timeout` is in seconds, for each statement.
    """

    async def init(connection: Connection) -> None:
        await _set_codecs(connection)
        for observer in observers:
            connection.add_query_logger(_told(observer))

    try:
        return await asyncpg.create_pool(
            plain_dsn(dsn),
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT,
            command_timeout=command_timeout,
            statement_cache_size=256,
            server_settings={"application_name": application},
            init=init,
        )
    except CONNECTION_ERRORS as error:
        raise unusable(dsn, error) from None


def observed(observers: Sequence[Observer], sql: str) -> AbstractContextManager[None]:
    """For a cursor, whose statement asyncpg does not report."""
    return _observed(observers, sql) if observers else UNOBSERVED


@contextmanager
def _observed(observers: Sequence[Observer], sql: str) -> Iterator[None]:
    started, failure = perf_counter(), None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        asked = Asked(text=sql, seconds=perf_counter() - started, error=failure)
        for observer in observers:
            observer.statement(asked)


def unusable(dsn: str, error: Exception) -> StorageError:
    """The error of a connection as one line. What cannot be parsed is not quoted: it may be a part of the password."""
    if isinstance(error, NOT_A_URL):
        reason = "the URL is not valid (special characters in a password must be percent-encoded)"
    else:
        reason = " ".join(str(error).split()) or type(error).__name__
    return StorageError(f"Postgres at {shown_dsn(dsn)} cannot be used: {reason}")


def _told(observer: Observer) -> Callable[[LoggedQuery], None]:
    """What asyncpg reports also has the values and the password; those end here."""

    def hear(query: LoggedQuery) -> None:
        observer.statement(
            Asked(
                text=query.query,
                seconds=query.elapsed,
                error=query.exception,
                place=query.conn_params.database,
                address=query.conn_addr,
            )
        )

    return hear


async def _set_codecs(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_encode, decoder=msgspec.json.decode)


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
