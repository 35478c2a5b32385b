"""What makes a child process end when this one does, even by `kill -9`."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
LINUX = sys.platform.startswith("linux")


def die_with_parent(death: signal.Signals) -> Callable[[], None] | None:
    """What to run in the child before its program: on Linux the kernel then sends it this signal when we are gone.

    See prctl(2). It must come after a change of user, which clears it, as `preexec_fn` does. The parent in its sense is
    the thread that starts the child, so that must not end before the child should.
    """
    if not LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def set_signal() -> None:
        prctl(PR_SET_PDEATHSIG, int(death))
        if os.getppid() != parent:  # it died before the signal was set
            os._exit(1)

    return set_signal


@contextmanager
def watched(pid: int, *, needed: bool = not LINUX) -> Iterator[None]:
    """Elsewhere a shell waits for the end of a pipe that only we hold, and then interrupts the child `pid`."""
    if not needed:
        yield
        return
    script = 'read line || kill -INT "$1"'
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "watch", str(pid)], stdin=subprocess.PIPE, start_new_session=True
    ) as watch:
        try:
            yield
        finally:
            assert watch.stdin is not None
            watch.stdin.write(b"no longer\n")
