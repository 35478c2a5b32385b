"""The programs that read what is in etc/ and scripts/: from wheels of the extra `deploy`, or from Debian."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
WHEELS = Path(sys.executable).parent


def program(name: str, where: str) -> str:
    """Its path. Skips the test, saying where it is to be had, on a machine that has none."""
    found = shutil.which(name, path=f"{WHEELS}") or shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; it is in {where}")
    return found


def wheel(name: str) -> str:
    return program(name, "the extra `deploy`")


def debian(name: str, package: str) -> str:
    return program(name, f"Debian's package {package}")


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What it says. Fails the test where its status is not 0."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, env=variables or None
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
