"""Where state lives: Postgres for what must last, Redis or Valkey for what replicas share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import StartupError
from ..switches import Changes, Switches
from ..webhooks.outbox import MemoryOutbox

if TYPE_CHECKING:
    from aiohttp import TraceConfig
    from asyncpg import Pool
    from redis.asyncio import Redis

    from ..contract import Observer


class StorageError(StartupError):
    """Postgres, Redis or the data folder cannot be used; the message is one line that says which and why."""

    def __init__(self, message: str) -> None:
        super().__init__("storage", message)


@dataclass(frozen=True, slots=True)
class Storage:
    """What a plugin's lifespan is handed: the asyncpg pool, and the Redis client where one is configured.

    `embedded` says that Postgres is our own, so that demo data may be filled in. `switches` holds the live settings;
    `changes` tells of rows that other processes changed. `outbox` takes messages for the operator while Postgres may be
    gone; what is done in Postgres is told of in its own transaction, by `gatelodge.webhooks.outbox.write`.
    `observers` are for the pools and clients that a plugin opens itself; `trace_configs` is what an aiohttp session takes
    of them.
    """

    postgres: Pool
    redis: Redis | None = None
    embedded: bool = False
    switches: Switches = field(default_factory=Switches)
    changes: Changes = field(default_factory=Changes)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    observers: tuple[Observer, ...] = ()

    @property
    def trace_configs(self) -> list[TraceConfig]:
        return [observer.requests for observer in self.observers]
