"""A receiver that takes what is signed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .receiver import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as receiver:
        yield receiver
