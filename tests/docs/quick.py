"""`gatelodge` without the second that importing it takes: a process that has imported it forks for each command.

    python quick.py SOCKET FOLDER      listens, and puts a program `gatelodge` into FOLDER that asks it

The command runs as it would by itself: with its own arguments, environment, folder, and standard streams.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as line:
    line.connect({path!r})
    socket.send_fds(line, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(asked)
    status = line.recv(1)
sys.exit(status[0] if status else 255)
"""


def serve(path: str, folder: Path) -> None:
    from gatelodge.plugins import Plugins

    Plugins().load()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        program = folder / "gatelodge"
        program.write_text(CLIENT.format(python=sys.executable, path=path))
        program.chmod(0o755)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            line, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(line)
            line.close()


def _answer(line: socket.socket) -> None:
    """In the child: become the command, and say its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, streams, _, _ = socket.recv_fds(line, 4, 3)
    text = b""
    while len(text) < int.from_bytes(length, "big"):
        text += line.recv(65536)
    arguments, folder, environment = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    line.sendall(bytes([_run(arguments)]))
    os._exit(0)


def _run(arguments: list[str]) -> int:
    from gatelodge.cli import main

    sys.argv = ["gatelodge", *arguments]
    try:
        main()
        status: object = 0
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status) if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
