"""`python -m gatelodge_jira.sandbox [port] [cloud|datacenter]`: the sandbox alone, until it is interrupted."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime

from .server import Flavour, sandbox
from .story import SEED, generate


async def run(port: int, flavour: Flavour) -> None:
    story = generate(SEED, datetime.now(UTC).date())
    async with sandbox(story, port=port, flavour=flavour) as running:
        print(f"Sandbox Jira ({flavour}) at {running.url}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    with suppress(KeyboardInterrupt):
        asyncio.run(run(port, "datacenter" if "datacenter" in sys.argv[2:] else "cloud"))
