"""Python environments for clients that cannot be installed beside ours: made once on a machine, outside of the repository."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path


def python_with(requirements: Path) -> Path:
    """The interpreter of an environment that holds what a requirements file pins."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(version.encode() + requirements.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"gatelodge-venv-{digest}"
    folder.mkdir(exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _run(sys.executable, "-m", "venv", "--clear", str(folder / "venv"))
            _run(str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements))
            (folder / "installed").touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
