"""Reach the embedded Postgres that a running server keeps, so that commands work beside it."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from . import StorageError
from .datafolder import DataFolder
from .embedded import DATABASE, ROLE, SUPERUSER, dsn_of
from .postgres import CONNECTION_ERRORS

SOCKET_LINE = 4
"""The line of `postmaster.pid`, from 0, that names the socket's folder. Source: Postgres, `pidfile.h`."""


async def running_dsn(data_dir: Path) -> str | None:
    """The DSN of a server that runs over the folder now, or None.

    It signs in as the superuser, whose password is in the folder, and is the server's own role from there on: that
    role's password is known to nobody but the process that runs the server.
    """
    folder = DataFolder.at(data_dir)
    try:
        sockets = (folder.data / "postmaster.pid").read_text().splitlines()[SOCKET_LINE]
        dsn = f"{dsn_of(SUPERUSER, folder.secret(), DATABASE, Path(sockets))}&role={ROLE}"
        connection = await asyncpg.connect(dsn, timeout=5)
    except (IndexError, StorageError, *CONNECTION_ERRORS):  # no server, one that is going, or not ours to read
        return None
    await connection.close()
    return dsn
