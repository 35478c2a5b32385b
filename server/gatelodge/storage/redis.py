"""The Redis or Valkey client, by redis-py's asyncio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import perf_counter
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from ..contract import Asked, Observer
from . import StorageError

CONNECT_TIMEOUT = 1.0
COMMAND_TIMEOUT = 1.0
CONNECTIONS = 100
"""When all are busy a command waits for one: the default pool fails, as if the server were gone."""


class ObservedRedis(Redis):
    """Tells of each command by its name alone: keys and values may be anybody's."""

    observers: Sequence[Observer] = ()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        started, failure = perf_counter(), None
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except BaseException as error:
            failure = error
            raise
        finally:
            asked = Asked(text=str(args[0]), seconds=perf_counter() - started, error=failure)
            for observer in self.observers:
                observer.command(asked)


def connect(url: str, observers: Sequence[Observer] = ()) -> Redis:
    """A client that gives up fast: redis-py's default of several slow retries would hold every call for seconds.

    `valkey://` and `valkeys://` are taken too. Opens no connection yet. Raises `StorageError` for a URL that is none.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            re.sub(r"^valkey(s?)://", r"redis\1://", url),
            max_connections=CONNECTIONS,
            timeout=COMMAND_TIMEOUT,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=COMMAND_TIMEOUT,
            retry=Retry(ConstantBackoff(0.02), retries=1),
            health_check_interval=30,
            client_name="gatelodge",
        )
        if not observers:
            return Redis.from_pool(pool)
        client = cast(ObservedRedis, ObservedRedis.from_pool(pool))
        client.observers = observers
        return client
    except ValueError:  # its message quotes the URL, which may hold a password
        raise StorageError("REDIS_URL is not valid; it must begin with redis://, rediss:// or unix://") from None
