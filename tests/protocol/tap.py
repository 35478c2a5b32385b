"""Stands between a client and its server on stdio, and keeps what passes: `python tap.py FOLDER COMMAND …`.

Runs as a program of its own, with nothing but the standard library. A line is kept before it is passed on, so that a
question stands before its answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import IO, BinaryIO


def relay(source: IO[bytes], sink: IO[bytes], kept: BinaryIO, mark: bytes) -> None:
    """Pass lines on until there are none, each kept behind a mark of the side it came from."""
    for line in source:
        kept.write(mark + line)
        kept.flush()
        try:
            sink.write(line)
            sink.flush()
        except BrokenPipeError:
            return
    sink.close()


def main(folder: str, *command: str) -> int:
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    with open(f"{folder}/{os.getpid()}", "ab") as kept:
        asking = threading.Thread(target=relay, args=(sys.stdin.buffer, server.stdin, kept, b">"), daemon=True)
        asking.start()
        relay(server.stdout, sys.stdout.buffer, kept, b"<")
        return server.wait()


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))  # the other thread may still wait for its client
