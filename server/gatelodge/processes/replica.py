"""The name of this process among those that serve together."""

from __future__ import annotations

import os
import socket


def replica() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
