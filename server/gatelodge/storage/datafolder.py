"""The folder that an embedded Postgres keeps everything in: whose it is, who may enter it, and who is using it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import StorageError

POLL = 0.05
EFFECTIVE = os.access in os.supports_effective_ids


@dataclass(frozen=True, slots=True)
class DataFolder:
    """`account` is whom the server runs as, None for ourselves: Postgres refuses root, so then it is `nobody`.

    The folder itself stays root's, who writes the log and the password there, and `nobody` may only pass through it:
    else whoever gets hold of that account could have root write elsewhere by a link.
    """

    root: Path
    account: pwd.struct_passwd | None

    @classmethod
    def at(cls, path: Path) -> DataFolder:
        return cls(path.absolute(), pwd.getpwnam("nobody") if os.geteuid() == 0 else None)

    @property
    def data(self) -> Path:
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def major(self) -> int | None:
        """The major version that made the data; None when there are none yet."""
        if not self.data.exists():
            return None
        try:
            return int((self.data / "PG_VERSION").read_text().split(".")[0])
        except (OSError, ValueError) as error:
            raise StorageError(f"data folder {self.root} is damaged: {error}") from None

    @asynccontextmanager
    async def claimed(self, patience: float) -> AsyncIterator[int]:
        """The folder exists and is ours alone to use; the value is its lock, for the server to inherit.

        A server without an owner (killed, say) still has it for a moment: that is waited for, `patience` seconds.
        """
        try:
            self._open_up()
            lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"data folder {self.root} cannot be written: {error.strerror}") from None
        try:
            await self._hold(lock, patience)
            try:
                yield lock
            finally:
                os.ftruncate(lock, 0)  # what may still run for a moment has no owner any more
        finally:
            os.close(lock)

    def give(self, path: Path) -> None:
        """Make the path the server's own and nobody else's."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.account is not None:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def may_enter(self, folder: Path) -> bool:
        """Whether the server's account may reach what lies in the folder. What does not exist yet is no obstacle."""
        return self.account is None or all(
            _may_pass(path, self.account) for path in (folder, *folder.parents) if path.is_dir()
        )

    def secret(self) -> str:
        """The password of the superuser."""
        try:
            return (self.root / "password").read_text().strip()
        except OSError as error:
            raise StorageError(f"the password in data folder {self.root} cannot be read: {error.strerror}") from None

    @contextmanager
    def lent_secret(self) -> Iterator[Path]:
        """A new password, in a file that the server's account may read for now."""
        password = secrets.token_urlsafe(24)
        lent = self.root / "password.initdb"
        _write_private(lent, password)
        self.give(lent)
        try:
            yield lent
            _write_private(self.root / "password", password)
        finally:
            lent.unlink()

    def forget_dead_server(self) -> None:
        """Whatever process has the old server's number now, Postgres takes for it; in a container one often has."""
        file = self.data / "postmaster.pid"
        try:
            at_work_in = os.readlink(f"/proc/{file.read_text().split()[0]}/cwd")
        except (OSError, IndexError):  # no such file, no such process, no /proc, or not ours to look at
            return
        if Path(at_work_in) != self.data.resolve():
            file.unlink()

    def open_log(self) -> BinaryIO:
        return open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def _open_up(self) -> None:
        if not self.may_enter(self.root.parent):
            raise StorageError(
                f"data folder {self.root} cannot be reached by user {_name(self.account)}, as whom Postgres runs under "
                "root; set GATELODGE_DATA_DIR to a folder such as /var/lib/gatelodge"
            )
        if self.root.exists() and not (self.root / "lock").exists() and any(self.root.iterdir()):
            raise StorageError(f"data folder {self.root} holds other files; set GATELODGE_DATA_DIR to a new folder")
        if self.root.exists() and not os.access(self.root, os.W_OK | os.X_OK, effective_ids=EFFECTIVE):
            raise StorageError(f"data folder {self.root} cannot be written: it is read-only")
        self._refuse_other_owner()
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700 if self.account is None else 0o710)
        if self.account is not None:
            os.chown(self.root, 0, self.account.pw_gid)

    def _refuse_other_owner(self) -> None:
        """Postgres refuses data of another user; say so before anything has changed hands."""
        if not self.data.exists():
            return
        mine = os.geteuid() if self.account is None else self.account.pw_uid
        owner = self.data.stat().st_uid
        if owner != mine:
            raise StorageError(f"data folder {self.root} was made by user {owner}; run as the same user")

    async def _hold(self, lock: int, patience: float) -> None:
        deadline = asyncio.get_running_loop().time() + patience
        while not _locked(lock):
            owner = int(os.pread(lock, 20, 0) or b"0")
            if (owner and _alive(owner)) or asyncio.get_running_loop().time() > deadline:
                raise StorageError(
                    f"data folder {self.root} is in use by process {owner}; stop it, or set GATELODGE_DATA_DIR"
                )
            await asyncio.sleep(POLL)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def _may_pass(folder: Path, account: pwd.struct_passwd) -> bool:
    status = folder.stat()
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def _name(account: pwd.struct_passwd | None) -> str:
    return account.pw_name if account is not None else pwd.getpwuid(os.geteuid()).pw_name


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
