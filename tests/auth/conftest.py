"""A token issuer that is a real HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ..guests import Issuer, issuing, new_keys


@pytest.fixture(scope="session")
def signing_keys() -> dict[str, Any]:
    return new_keys()


@pytest.fixture
async def issuer(signing_keys: dict[str, Any]) -> AsyncIterator[Issuer]:
    async with issuing(signing_keys) as issuer:
        yield issuer
