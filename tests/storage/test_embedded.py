"""The embedded Postgres: private, restartable, gone with its owner, and clear about what is wrong."""

# ruff: noqa: ASYNC220, ASYNC230, ASYNC240 - nothing else is waiting while a test touches its files

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gatelodge.storage import StorageError
from gatelodge.storage.binaries import find_binaries
from gatelodge.storage.datafolder import DataFolder
from gatelodge.storage.embedded import embedded_postgres

ROOT = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not ROOT, reason="only root changes to another user")
ONLY_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
OWNER = """
import asyncio, sys
from pathlib import Path
from gatelodge.storage.embedded import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as dsn:
        print(dsn, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def owner(data_dir: Path, **variables: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another process with an embedded Postgres, and the DSN it has."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(data_dir), stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await all_ended(data_dir)


async def all_ended(data_dir: Path) -> None:
    """Every process of the server holds the folder's lock until it ends."""
    with open(data_dir / "lock") as lock:
        async with asyncio.timeout(20):
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)


def processes_in(data_dir: Path) -> list[str]:
    """Command lines that name the folder or run in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, at_work_in = (process / "cmdline").read_bytes().decode(), os.readlink(process / "cwd")
        except OSError:  # it ended meanwhile
            continue
        if str(data_dir) in command or at_work_in.startswith(str(data_dir)):
            found.append(command)
    return found


async def query(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root is refused nothing by permissions, so it steps down for a while."""
    if not ROOT:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


async def refused(data_dir: Path) -> str:
    """The one line of the error that opening the folder ends in."""
    with pytest.raises(StorageError) as caught:
        async with embedded_postgres(data_dir):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what it is like ---


async def test_data_outlive_the_server(data_dir: Path) -> None:
    """What one server wrote, the next one over the same folder reads, with a DSN of its own."""
    async with embedded_postgres(data_dir) as first:
        await query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    async with embedded_postgres(data_dir) as second:
        assert await query(second, "SELECT answer FROM kept") == 42
    assert urlsplit(first).password != urlsplit(second).password


async def test_only_the_password_opens_the_socket(cluster: object, database: str) -> None:
    """No TCP port is open, passwords are SCRAM, and a wrong one is refused even to the owner of the socket."""
    assert await query(database, "SHOW listen_addresses") == ""
    assert await query(database, "SHOW password_encryption") == "scram-sha-256"
    wrong = urlsplit(database)._replace(netloc="gatelodge:wrong@").geturl()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong, "SELECT 1")


async def test_folders_are_private(data_dir: Path) -> None:
    """Others see neither data nor socket nor password; under root the server's account may only pass the folder."""
    async with embedded_postgres(data_dir):
        modes = {name: stat.S_IMODE((data_dir / name).stat().st_mode) for name in (".", "postgres", "run", "password")}
    assert modes == {".": 0o710 if ROOT else 0o700, "postgres": 0o700, "run": 0o700, "password": 0o600}
    assert data_dir.stat().st_uid == os.geteuid()


async def test_its_role_is_no_superuser(database: str) -> None:
    """The DSN's role owns its database, and row-level security binds it."""
    assert not await query(database, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")


async def test_letters_of_every_script_are_letters(database: str) -> None:
    """Trigrams are made of Cyrillic as of Latin, and case folds in both."""
    assert await query(database, "SELECT show_trgm('Ошибка') <> '{}' AND lower('ОШИБКА') = 'ошибка'")


async def test_a_long_path_gets_its_socket_elsewhere(data_dir: Path) -> None:
    """A unix socket's path holds about a hundred bytes; a folder may lie deeper."""
    deep = data_dir / ("d" * 60) / ("e" * 60)
    async with embedded_postgres(deep) as dsn:
        assert await query(dsn, "SELECT 1") == 1
        assert str(deep) not in dsn


# --- it ends with its owner ---


async def test_killing_the_owner_ends_every_process(data_dir: Path) -> None:
    """After kill -9 of its owner no process of the server is left, and the next owner finds the data at once."""
    async with owner(data_dir) as (process, dsn):
        await query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
        await process.wait()
        async with embedded_postgres(data_dir) as again:
            assert await query(again, "SELECT answer FROM kept") == 42
    with pytest.raises(OSError, match="No such file"):
        await query(dsn, "SELECT 1")


@ONLY_LINUX
async def test_nothing_is_left_running(data_dir: Path) -> None:
    """No process is left in the folder, whether its owner ended well or was killed."""
    async with embedded_postgres(data_dir):
        assert processes_in(data_dir)
    assert processes_in(data_dir) == []
    async with owner(data_dir):
        assert processes_in(data_dir)
    assert processes_in(data_dir) == []


async def test_without_the_kernels_help_a_shell_watches(tmp_path: Path) -> None:
    """Where the kernel does not tell a child of its parent's death, the child is interrupted all the same."""
    script = """
import signal, subprocess, sys
from gatelodge.storage.lifeline import watched
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would the child
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
with watched(child.pid, needed=True):
    print(child.pid, flush=True)
    sys.stdin.read()
print("left", child.poll(), flush=True)
child.kill()
"""
    for kill, expected in ((True, b""), (False, b"left None\n")):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-W", "ignore", "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        await process.stdout.readline()
        if kill:
            process.kill()
        process.stdin.close()
        async with asyncio.timeout(20):  # the pipe ends only when the sleeping child has ended too
            assert await process.stdout.read() == expected
        await process.wait()


@ONLY_LINUX
async def test_the_server_learns_no_secret_from_our_environment(data_dir: Path) -> None:
    """A token in our environment is not in the server's, where its account could read it."""
    async with owner(data_dir, JIRA_API_TOKEN="canary"):
        pid = (data_dir / "postgres" / "postmaster.pid").read_text().split()[0]
        assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


async def test_giving_up_the_start_leaves_nothing(data_dir: Path) -> None:
    """A start that is cancelled half-way stops what it began, and the folder is as good as new."""

    async def start() -> None:
        async with embedded_postgres(data_dir):
            await asyncio.Event().wait()

    task = asyncio.create_task(start())
    while not (data_dir / "postgres.partial").exists():  # noqa: ASYNC110 - a folder's coming is no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT 1") == 1


# --- what may be wrong ---


async def test_a_folder_in_use_is_refused(data_dir: Path) -> None:
    """The second server on a folder fails at once, naming the process that has it; the first goes on."""
    async with owner(data_dir) as (process, dsn):
        said = await refused(data_dir)
        assert said.startswith(f"storage: data folder {data_dir} is in use by process {process.pid}; stop it, or")
        assert await query(dsn, "SELECT 1") == 1


async def test_of_two_at_once_one_gets_the_folder(data_dir: Path) -> None:
    """Two servers that start together on a new folder do not both make it."""
    opened = asyncio.Event()

    async def start() -> str:
        try:
            async with embedded_postgres(data_dir) as dsn:
                opened.set()
                return str(await query(dsn, "SELECT 'served'"))
        except StorageError as error:
            await opened.wait()
            return str(error)

    results = sorted(await asyncio.gather(start(), start()))
    assert results[0] == "served"
    assert "in use" in results[1]


async def test_data_of_another_major_are_refused(data_dir: Path) -> None:
    """Data that these binaries cannot read are named as such and left alone."""
    async with embedded_postgres(data_dir):
        pass
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    message = await refused(data_dir)
    assert "was made by Postgres 9, but the binaries found are" in message
    assert version.read_text() == "9\n"


async def test_a_read_only_folder_is_refused(data_dir: Path) -> None:
    """A folder that we may not write in, or not make, is named, and stays as it is."""
    data_dir.mkdir()
    data_dir.chmod(0o555)
    if ROOT:
        os.chown(data_dir, pwd.getpwnam("nobody").pw_uid, -1)
    with ordinary_user():
        assert await refused(data_dir) == f"storage: data folder {data_dir} cannot be written: it is read-only"
        assert "cannot be written: Permission denied" in await refused(data_dir / "new")
    assert list(data_dir.iterdir()) == []


async def test_a_folder_below_a_file_is_refused(data_dir: Path) -> None:
    """A path that can be no folder is named."""
    data_dir.write_text("a file")
    assert "cannot be written: Not a directory" in await refused(data_dir / "new")
    assert str(data_dir) in await refused(data_dir)


async def test_a_folder_with_other_files_is_refused(data_dir: Path) -> None:
    """A home folder named by mistake keeps its owner, its mode and its files."""
    data_dir.mkdir(mode=0o755)
    (data_dir / "letter").write_text("dear")
    before = data_dir.stat()
    assert "holds other files" in await refused(data_dir)
    after = data_dir.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert [path.name for path in data_dir.iterdir()] == ["letter"]


@ONLY_ROOT
async def test_a_folder_out_of_reach_is_refused(data_dir: Path) -> None:
    """Under root the server's account must be able to reach the folder; its parents are not opened for it."""
    data_dir.mkdir(mode=0o700)
    assert "cannot be reached by user nobody" in await refused(data_dir / "new")
    assert list(data_dir.iterdir()) == []
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@ONLY_ROOT
async def test_data_of_another_user_are_refused(data_dir: Path) -> None:
    """Root does not take over what a user's server made."""
    async with embedded_postgres(data_dir):
        pass
    os.chown(data_dir / "postgres", 12345, 12345)
    assert "was made by user 12345" in await refused(data_dir)


async def test_postgres_own_reason_is_passed_on(data_dir: Path) -> None:
    """When the server itself gives up, its reason is the message, and its log is named."""
    async with embedded_postgres(data_dir):
        pass
    with open(data_dir / "postgres" / "postgresql.conf", "a") as file:
        file.write("no_such_setting = 1\n")
    message = await refused(data_dir)
    assert "configuration file" in message
    assert str(data_dir / "postgres.log") in message


async def test_damaged_data_are_named(data_dir: Path) -> None:
    """A missing version or password is said, instead of making new data over the old."""
    async with embedded_postgres(data_dir):
        pass
    (data_dir / "password").rename(data_dir / "kept")
    assert "password" in await refused(data_dir)
    (data_dir / "kept").rename(data_dir / "password")
    (data_dir / "postgres" / "PG_VERSION").unlink()
    assert "is damaged" in await refused(data_dir)


async def test_a_dead_servers_number_may_be_anyones(data_dir: Path) -> None:
    """In a container another process often gets the number of the server that was killed; the start does not mind."""
    async with embedded_postgres(data_dir):
        pid_file = data_dir / "postgres" / "postmaster.pid"
        content = pid_file.read_text()
    account = DataFolder.at(data_dir).account
    other = subprocess.Popen(["sleep", "60"], user=account.pw_uid if account else None)
    try:
        pid_file.write_text(content.replace(content.split()[0], str(other.pid), 1))
        async with embedded_postgres(data_dir) as dsn:
            assert await query(dsn, "SELECT 1") == 1
    finally:
        other.kill()
        other.wait()


# --- binaries ---


def test_without_binaries_it_says_what_to_install(tmp_path: Path) -> None:
    """Neither wheel nor system Postgres: the error names the three ways out."""
    (tmp_path / "postgres").write_text("not a program")
    for folders in ([], [tmp_path]):
        with pytest.raises(StorageError, match=r"gatelodge\[embedded\].*DATABASE_URL"):
            find_binaries(folders=folders)


def test_binaries_of_the_datas_version_are_preferred() -> None:
    """Whatever major a folder's data have, binaries of it are taken when there are any."""
    for binaries in (find_binaries(), find_binaries(find_binaries().major)):
        assert (binaries.folder / "initdb").exists()
        assert binaries.version.startswith(str(binaries.major))


async def test_binaries_out_of_reach_are_copied(short_folder: Path) -> None:
    """Those of a virtual environment below /root are closed to the server's account; a copy of them runs as well."""
    wheel = find_binaries()
    copy = wheel.copied_to(short_folder)
    assert copy.folder.is_relative_to(short_folder)
    initdb = await asyncio.create_subprocess_exec(copy.folder / "initdb", "--version", stdout=subprocess.PIPE)
    said, _ = await initdb.communicate()
    assert wheel.version in said.decode()
    assert wheel.copied_to(short_folder) == copy
    shutil.rmtree(short_folder / f"binaries-{wheel.version}")
