"""What aiohttp's own log must not say: an error about a request that is no HTTP quotes it, keys and tokens and all."""

from __future__ import annotations

import logging
from uuid import uuid4

from aiohttp.http_exceptions import HttpProcessingError


class Discretion(logging.Filter):
    """Lets a malformed request be logged, but none of its bytes."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = record.exc_text = None
            record.msg, record.args = "A request that is not well-formed HTTP: %s", (type(error).__name__,)
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.request_id = uuid4().hex  # it never became a request, so it has none
        return True


DISCRETION = Discretion()


def be_discreet() -> None:
    """Once is enough: a logger keeps one of each filter."""
    logging.getLogger("aiohttp.server").addFilter(DISCRETION)
