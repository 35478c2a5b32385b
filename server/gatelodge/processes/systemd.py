"""What systemd wants to know of a service, by the datagrams of sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress


class Notifier:
    """Silent where no service manager listens."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        variables = os.environ if variables is None else variables
        self._address = variables.get("NOTIFY_SOCKET", "")
        self._interval = int(variables.get("WATCHDOG_USEC", "0")) / 2e6

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Say twice in each period of the watchdog that the event loop turns."""
        task = asyncio.create_task(self._ping()) if self._interval else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _ping(self) -> None:
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._interval)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), address)
