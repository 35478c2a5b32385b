"""When what a caller proved does not hold any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from ..contract import Authenticator, Principal


class Revocations:
    """For streams that outlive the check at the door: end one when `wait(principal)` returns."""

    def __init__(self, authenticators: Iterable[Authenticator]) -> None:
        self._ended = {item.name: item.ended for item in authenticators if item.ended is not None}

    async def wait(self, principal: Principal) -> None:
        """Return when the principal's key is revoked or expired, or its token expires; for others never."""
        ended = self._ended.get(principal.method)
        if ended is not None:
            await ended(principal)
        elif principal.expires_at is not None:
            await asyncio.sleep(max(0.0, principal.expires_at - time.time()))
        else:
            await asyncio.get_running_loop().create_future()
