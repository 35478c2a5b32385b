"""Servers of one deployment: they share Postgres and Valkey, and are started and stopped by name."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .front import free_port
from .processes import variables

SCRIPTS = Path(__file__).parents[2] / "scripts"
SERVICE = Path(__file__).with_name("restart.py")


@dataclass(frozen=True, slots=True)
class Fleet:
    """`ports` holds each server's, by its name; not all of them run."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def named(self, *names: str) -> list[str]:
        """As the scripts take them: `blue-1=http://127.0.0.1:4711`."""
        return [f"{name}=http://{self.address(name)}" for name in names]

    def service(self, action: str) -> str:
        """The command that the scripts call with a name."""
        return f"{sys.executable} {SERVICE} {action} {self.folder}"

    async def run(self, action: str, *names: str) -> None:
        for name in names:
            status, said = await script(*self.service(action).split(), name)
            assert status == 0, said

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


@asynccontextmanager
async def fleet(folder: Path, *names: str, **settings: str) -> AsyncIterator[Fleet]:
    """None of them runs yet; those that do at the end are stopped."""
    made = _prepared(folder, names, settings)
    try:
        yield made
    finally:
        await asyncio.gather(*(made.run("stop", name) for name in names))


def _prepared(folder: Path, names: Sequence[str], settings: Mapping[str, str]) -> Fleet:
    folder.mkdir()
    made = Fleet(folder, {name: free_port() for name in names})
    for name, port in made.ports.items():
        (folder / f"{name}.json").write_text(json.dumps(variables(**{**settings, "MCP_PORT": str(port)})))
    return made


async def script(*command: str, **environment: str) -> tuple[int, str]:
    """Its status and all that it says."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**variables(), **environment},
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
