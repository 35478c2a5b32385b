"""What `systemctl` is on a host, for servers of a test: `restart.py start|stop|restart FOLDER NAME`.

FOLDER/NAME.json holds a server's environment, FOLDER/NAME.pid the process that serves.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stop(folder: Path, name: str) -> None:
    file = folder / f"{name}.pid"
    if not file.exists():
        return
    pid = int(file.read_text())
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
    while alive(pid):
        time.sleep(0.02)
    file.unlink(missing_ok=True)


def start(folder: Path, name: str) -> None:
    environment = json.loads((folder / f"{name}.json").read_text())
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gatelodge", "serve", "--quiet"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid))


def main() -> None:
    action, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if action in ("stop", "restart"):
        stop(folder, name)
    if action in ("start", "restart"):
        start(folder, name)


if __name__ == "__main__":
    main()
