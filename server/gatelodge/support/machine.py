"""What runs where: versions, the machine, its memory and disks."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from .. import __version__

MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")


def versions() -> dict[str, Any]:
    """Of Gatelodge, of Python, and of every package that is installed beside it."""
    packages = {item.metadata["Name"]: item.version for item in distributions()}
    return {
        "gatelodge": __version__,
        "python": sys.version,
        "implementation": platform.python_implementation(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def system(folders: Iterable[Path]) -> dict[str, Any]:
    """Sizes are in bytes; `disks` has the file systems of these folders, or of the nearest folder that is there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "time": datetime.now(UTC).isoformat(),
        "uname": platform.uname()._asdict(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "memory": memory(),
        "disks": {str(folder): disk(folder) for folder in folders},
        "open_files": {"soft": soft, "hard": hard},
        "process": {"pid": os.getpid(), "uid": os.getuid(), "python": sys.executable},
    }


def memory() -> dict[str, int]:
    """As Linux tells it; elsewhere the total alone."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {"MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) * 1024 for name in MEMORY if name in found}


def disk(folder: Path) -> dict[str, int]:
    """`{total, used, free}`."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there)._asdict()
