"""How a process serves, reloads and stops."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import fields, validate

from ..errors import StartupError
from ..settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """`drain_delay` and `drain_timeout` are in seconds."""

    workers: int = setting(
        "GATELODGE_WORKERS",
        fields.Integer(validate=validate.Range(min=1, max=256)),
        default=1,
        help="Processes that gatelodge serve starts on the same ports.",
    )
    unshared: bool = setting(
        "GATELODGE_WORKERS_WITHOUT_REDIS",
        fields.Boolean(),
        default=False,
        help="Start several workers without REDIS_URL, though each then counts limits by itself.",
    )
    event_loop: str = setting(
        "GATELODGE_EVENT_LOOP",
        fields.String(validate=validate.OneOf(["asyncio", "uvloop"])),
        default="asyncio",
        help="asyncio, or uvloop of the extra of that name. For HTTP they are as fast as each other.",
    )
    drain_delay: float = setting(
        "GATELODGE_DRAIN_DELAY",
        fields.Float(validate=validate.Range(min=0, max=300)),
        default=0.5,
        help="Seconds from SIGTERM, when readiness fails, until no connection is taken any more.",
    )
    drain_timeout: float = setting(
        "GATELODGE_DRAIN_TIMEOUT",
        fields.Float(validate=validate.Range(min=0, max=3600)),
        default=30.0,
        help="Seconds that calls under way get to finish when the server stops.",
    )
    certificate: str | None = setting(
        "GATELODGE_TLS_CERT", fields.String(), default=None, help="PEM file to serve TLS with: the certificate chain."
    )
    key: str | None = setting(
        "GATELODGE_TLS_KEY", fields.String(), default=None, help="PEM file of the certificate's private key."
    )

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """What makes the event loop; None for Python's own. Raises `StartupError` where uvloop is not installed."""
        if self.event_loop == "asyncio":
            return None
        try:
            uvloop: Any = importlib.import_module("uvloop")
        except ImportError:
            raise StartupError(
                "uvloop_missing", "GATELODGE_EVENT_LOOP=uvloop needs: pip install 'gatelodge[uvloop]'"
            ) from None
        return uvloop.new_event_loop  # type: ignore[no-any-return]

    def refuse_unshared(self, *, workers: int, database: bool, redis: bool) -> None:
        """Raises `StartupError` where several workers would not share what they must."""
        if workers < 2:
            return
        if not database:
            raise StartupError("workers_need_database", "several workers need one Postgres; set DATABASE_URL")
        if not redis and not self.unshared:
            raise StartupError(
                "workers_need_redis",
                "several workers without REDIS_URL would each count limits by themselves, so callers would get that many"
                " times as much; set REDIS_URL, or GATELODGE_WORKERS_WITHOUT_REDIS=true to accept that",
            )
