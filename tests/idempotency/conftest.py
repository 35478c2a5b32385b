"""A counter to act on, and a gate before it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ..governed import Gate, Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as upstream:
        yield upstream


@pytest.fixture
async def gate(database: str, upstream: Upstream) -> AsyncIterator[Gate]:
    async with Gate(database, upstream.url, GATELODGE_IDEMPOTENCY_WAIT="0.3").open() as gate:
        yield gate
